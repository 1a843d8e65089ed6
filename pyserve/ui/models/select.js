// A list to choose a model from, with the state of each.

import { make } from "../core/dom.js";
import { models, rememberModel, usualModel } from "./state.js";

// value(): the id that is chosen, "" for the usual one. onchange(id).
export class ModelSelect {
  constructor({ value, onchange }) {
    this.value = value;
    this.element = make("select", {
      class: "model",
      "aria-label": "Model",
      onchange: () => onchange(this.element.value),
    });
    models.watch(() => this.show());
  }

  // The id of the model that answers.
  get chosen() {
    return this.value() || usualModel();
  }

  show() {
    const { error } = models.value;
    const isKnown = models.value.list !== null || error !== null;
    const list = models.value.list ?? [];
    const { chosen } = this;
    const options = list.map(({ id, meta }) => {
      return new Option(meta.state === "ready" ? id : `${id} (${meta.state})`, id);
    });
    if (!isKnown) {
      options.unshift(new Option(chosen || "…", chosen));
    } else if (!list.some(({ id }) => id === chosen)) {
      options.unshift(new Option(chosen ? `${chosen} (not served)` : "no model", chosen));
    }
    this.element.replaceChildren(...options);
    this.element.value = chosen;
  }
}

// One that is part of what a tab keeps.
export function keptModelSelect(kept) {
  return new ModelSelect({
    value: () => kept.value.model,
    onchange: (model) => {
      rememberModel(model);
      kept.change({ model });
    },
  });
}
