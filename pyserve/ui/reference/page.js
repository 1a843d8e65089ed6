// The document in a layout of its own: contents beside it, and a field to find something.

import { make } from "../core/dom.js";
import { apiDocument } from "../settings/document.js";
import { referenceOf } from "./view.js";

export class Reference {
  // prefix: of links to parts of the document.
  constructor(prefix) {
    this.prefix = prefix;
    this.status = make("p", { role: "status" }, "Loading …");
    this.find = make("input", {
      type: "search",
      placeholder: "Find an endpoint or type",
      "aria-label": "Find an endpoint or type",
    });
    this.find.addEventListener("input", () => this.filter(this.find.value.trim().toLowerCase()));
    this.contents = make("nav", { "aria-label": "Endpoints and types" }, this.find);
    this.body = make(
      "div",
      { class: "body", tabindex: "-1" },
      make("h2", {}, "The API"),
      this.status,
    );
    this.element = make("div", { class: "reference" }, this.contents, this.body);
    this.ready = this.load();
  }

  async load() {
    try {
      const { contents, sections } = referenceOf(await apiDocument(), this.prefix);
      this.contents.append(...contents);
      this.body.append(...sections);
      this.status.remove();
    } catch (error) {
      this.status.textContent = `The document could not be read: ${error.message}`;
    }
  }

  // Scrolls to an endpoint or a type, by its id.
  async goTo(id) {
    await this.ready;
    if (id) document.getElementById(id)?.scrollIntoView();
  }

  filter(text) {
    for (const group of this.contents.querySelectorAll("details")) {
      const items = [...group.querySelectorAll("li")];
      for (const item of items) item.hidden = !item.textContent.toLowerCase().includes(text);
      group.hidden = items.every((item) => item.hidden);
      if (text) group.open = true;
    }
  }
}
