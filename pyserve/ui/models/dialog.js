// All models with what they are, what they take, and buttons to load and unload them.

import { say } from "../core/clipboard.js";
import { showDialog } from "../core/dialog.js";
import { button, make } from "../core/dom.js";
import { bytes, count, short } from "../core/format.js";
import { changeModel, models, refreshModels } from "./state.js";

export function showModels() {
  const place = make("div", { class: "models" });
  const end = models.watch(({ list, error }) => {
    const parts = (list ?? []).map(modelElement);
    if (error) parts.unshift(make("p", { class: "error" }, error.message));
    else if (list?.length === 0) parts.push(make("p", {}, "No model is served."));
    keepFocus(place, parts);
  });
  refreshModels();
  showDialog("Models", [place], { onclose: end, isWide: true });
}

// Puts new elements in the place of old ones, with the focus where it was.
function keepFocus(place, parts) {
  const focused = place.contains(document.activeElement)
    ? document.activeElement.dataset.for
    : null;
  place.replaceChildren(...parts);
  if (focused) place.querySelector(`[data-for="${CSS.escape(focused)}"]`)?.focus();
}

function modelElement({ id, parent, meta }) {
  const facts = [
    meta.architecture,
    meta.n_params && `${short(meta.n_params)} parameters`,
    meta.quantization,
    meta.n_ctx && `${count(meta.n_ctx)} tokens of context`,
    meta.memory && `${bytes(meta.memory)} of memory${meta.state === "ready" ? "" : " when loaded"}`,
    parent && `adapter of ${parent}`,
    meta.pinned && "stays loaded",
  ];
  return make(
    "article",
    {},
    make("h3", {}, make("span", { class: `state ${meta.state}` }), id, " ", stateName(meta.state)),
    meta.description ? make("p", {}, meta.description) : null,
    make("p", { class: "hint" }, facts.filter(Boolean).join(" · ")),
    make("p", { class: "hint" }, meta.capabilities.join(", ")),
    actionOf(id, meta),
  );
}

function stateName(state) {
  return make("small", {}, state);
}

function actionOf(id, { state }) {
  const action = state === "ready" ? "unload" : "load";
  const isBusy = state === "loading" || state === "unloading";
  const label = action === "load" ? "Load" : "Unload";
  const act = async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      await changeModel(action, id);
      say(`${id}: ${action}ed.`);
    } catch (error) {
      say(`${id}: ${error.message}`);
    }
  };
  return button(label, act, { disabled: isBusy, "data-for": id, "aria-label": `${label} ${id}` });
}
