// One side of a comparison: a model, its settings, its own conversation.

import { costOf, streamAnswer } from "../chat/answering.js";
import { costText, endText } from "../chat/cost.js";
import { bodyOf, newSettings } from "../chat/request.js";
import { field, make } from "../core/dom.js";
import { Kept } from "../core/kept.js";
import { LiveMarkdown } from "../markdown/live.js";
import { ModelSelect } from "../models/select.js";
import { Options } from "../settings/options.js";

export class Contender {
  constructor(name) {
    this.name = name;
    this.turns = [];
    this.kept = new Kept(`compare-${name}`, newSettings());
    this.model = new ModelSelect({
      value: () => this.kept.value.model,
      onchange: (model) => this.kept.change({ model }),
    });
    this.model.element.setAttribute("aria-label", `Model, ${name}`);
    this.log = make("div", {
      class: "text-log",
      tabindex: "0",
      role: "region",
      "aria-label": `Answers, ${name}`,
    });
    this.system = make("textarea", { rows: 2, value: this.kept.value.system });
    this.system.addEventListener("input", () => this.kept.change({ system: this.system.value }));
    this.options = new Options({
      schema: "ChatRequest",
      kept: this.kept,
      model: this.model,
      before: [field("System prompt", this.system)],
    });
    const settings = make(
      "details",
      { class: "fold" },
      make("summary", {}, "Settings"),
      this.options.element,
    );
    const head = make("div", { class: "row" }, this.model.element, settings);
    this.element = make("section", { class: "contender", "aria-label": name }, head, this.log);
  }

  // Takes the settings of another.
  take({ kept }) {
    this.kept.change(kept.value);
    this.system.value = kept.value.system;
    this.model.show();
    this.options.show();
  }

  clear() {
    this.turns = [];
    this.log.replaceChildren();
  }

  body(turns) {
    return bodyOf({ ...this.kept.value, model: this.model.chosen }, turns);
  }

  // Shows the question, and the answer as it comes. Never throws: errors are shown.
  async ask(text, signal) {
    const turns = [...this.turns, { role: "user", content: text }];
    const place = make("div", { class: "text" });
    const status = make("p", { class: "hint" }, "waiting …");
    this.log.append(make("div", { class: "question" }, text), place, status);
    try {
      await this.follow(turns, signal, place, status);
    } catch (error) {
      status.replaceChildren(make("span", { class: "error" }, error.message));
    }
    this.log.scrollTop = this.log.scrollHeight;
  }

  async follow(turns, signal, place, status) {
    signal.throwIfAborted();
    const live = new LiveMarkdown(place);
    const body = this.body(turns);
    const done = await streamAnswer("chat/completions", body, signal, (reader, progress) => {
      live.show(reader.content);
      status.textContent = progress;
      this.log.scrollTop = this.log.scrollHeight;
    });
    const { reader, error } = done;
    if (error) throw error;
    status.textContent = `${costText(costOf(done))} ${endText(reader.finish)}`;
    if (reader.content) this.turns = [...turns, { role: "assistant", content: reader.content }];
  }
}
