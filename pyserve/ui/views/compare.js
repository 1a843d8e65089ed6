// The tab that puts the same question to two models, or to one with two settings.

import { Composer } from "../chat/composer.js";
import { button, make } from "../core/dom.js";
import { read, write } from "../core/prefs.js";
import { showSnippets } from "../core/snippetdialog.js";
import { Contender } from "./contender.js";

export class CompareView {
  constructor() {
    this.sides = [new Contender("left"), new Contender("right")];
    this.controller = null;
    this.composer = new Composer({
      onsend: (text) => this.ask(text),
      onstop: () => this.controller?.abort(),
      onsnippets: () => this.snippets(),
      onlast: () => {},
      onproblem: () => {},
      hasFiles: false,
    });
    this.inTurn = make("input", { type: "checkbox", checked: read("compare-in-turn", false) });
    this.inTurn.addEventListener("change", () => write("compare-in-turn", this.inTurn.checked));
    const [left, right] = this.sides;
    const bar = make(
      "div",
      { class: "row" },
      make("label", { class: "check" }, this.inTurn, "One after the other, for fair times"),
      button("Left settings to the right", () => right.take(left), { class: "quiet" }),
      button("Clear", () => this.clear(), { class: "quiet" }),
    );
    const pair = make("div", { class: "pair" }, left.element, right.element);
    this.element = make("div", { class: "view compare" }, bar, pair, this.composer.element);
    this.element.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.controller?.abort();
    });
  }

  clear() {
    this.controller?.abort();
    this.sides.forEach((side) => side.clear());
  }

  snippets() {
    const text = this.composer.area.value;
    showSnippets(
      "chat/completions",
      this.sides[0].body([...this.sides[0].turns, { role: "user", content: text }]),
    );
  }

  async ask(text) {
    this.controller = new AbortController();
    const { signal } = this.controller;
    this.composer.show(true);
    const [left, right] = this.sides;
    if (this.inTurn.checked) {
      await left.ask(text, signal);
      await right.ask(text, signal);
    } else await Promise.all([left.ask(text, signal), right.ask(text, signal)]);
    this.controller = null;
    this.composer.show(false);
  }
}
