// A button that runs a request and stops it, with the state beside it.

import { make } from "../core/dom.js";
import { icon } from "../core/icons.js";

// run(signal): does it; what it throws is shown. Ctrl+Enter within `element` runs as well.
export class Runner {
  constructor(label, run) {
    Object.assign(this, { label, run, controller: null });
    this.button = make("button", { type: "button", class: "primary", onclick: () => this.press() });
    this.status = make("span", { class: "hint", role: "status" });
    this.problem = make("p", { class: "error", role: "alert" });
    this.element = make("div", { class: "row" }, this.button, this.status);
    this.show();
  }

  get isRunning() {
    return this.controller !== null;
  }

  // Has Ctrl+Enter run, and Escape stop, within an element.
  listen(element) {
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !this.isRunning)
        this.press();
      if (event.key === "Escape" && this.isRunning) this.press();
    });
  }

  show() {
    const label = this.isRunning ? "Stop" : this.label;
    this.button.replaceChildren(icon(this.isRunning ? "stop" : "go"), label);
  }

  async press() {
    if (this.isRunning) return this.controller.abort();
    this.controller = new AbortController();
    this.problem.textContent = "";
    this.status.textContent = "";
    this.show();
    try {
      await this.run(this.controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.problem.textContent = error.message;
      this.status.textContent = error.name === "AbortError" ? "Stopped." : "";
    }
    this.controller = null;
    return this.show();
  }
}
