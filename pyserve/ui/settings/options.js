// The settings of a tab: parameters of one kind of request, and the format of answers.

import { make } from "../core/dom.js";
import { defaultsOf } from "../models/defaults.js";
import { models } from "../models/state.js";
import { FormatChoice } from "./format.js";
import { Parameters } from "./parameters.js";

// kept: a `Kept` with `params` and `format`. model: the `ModelSelect` of who answers. before:
// elements above the parameters.
export class Options {
  constructor({ schema, kept, model, before = [] }) {
    this.parameters = new Parameters({
      schema,
      values: () => kept.value.params,
      onchange: (params) => kept.change({ params }),
    });
    this.format = new FormatChoice({
      value: () => kept.value.format,
      onchange: (format) => kept.change({ format }),
    });
    this.element = make(
      "div",
      { class: "options" },
      ...before,
      make("h3", {}, "Parameters"),
      this.parameters.element,
      make("h3", {}, "Format of answers"),
      this.format.element,
    );
    this.format.show();
    const showDefaults = async () => this.parameters.showDefaults(await defaultsOf(model.chosen));
    models.watch(showDefaults);
    model.element.addEventListener("change", showDefaults);
  }

  show() {
    this.parameters.show();
    this.format.show();
  }
}
