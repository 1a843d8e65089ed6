// Asks for the API key.

import { showDialog } from "../core/dialog.js";
import { field, make } from "../core/dom.js";
import { isKept, readKey, writeKey } from "../core/key.js";

let isOpen = false;

// Shows the dialog, unless it is open. onsaved() follows a new key. why: a sentence.
export function showKey(onsaved, why = "") {
  if (isOpen) return;
  isOpen = true;
  const key = make("input", { type: "password", value: readKey(), autocomplete: "off", autofocus: true });
  const keep = make("input", { type: "checkbox", checked: isKept() });
  const form = make(
    "form",
    { method: "dialog" },
    make("p", {}, why),
    field("API key", key, "It is sent to this server alone. Empty: none."),
    make("label", { class: "check" }, keep, "Keep it in this browser, not only for this tab"),
    make("div", { class: "row end" }, make("button", { class: "primary", value: "save" }, "Save")),
  );
  const onclose = (value) => {
    isOpen = false;
    if (value !== "save") return;
    writeKey(key.value.trim(), keep.checked);
    onsaved();
  };
  showDialog("API key", [form], { onclose });
}
