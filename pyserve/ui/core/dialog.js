// Dialogs: the browser's own, with a title and a way out.

import { button, freshId, make } from "./dom.js";
import { iconButton } from "./icons.js";

// Shows a dialog until it is closed; returns it. children: its content.
export function showDialog(title, children, { onclose, isWide = false } = {}) {
  const id = freshId("title");
  const close = iconButton("close", "Close", () => dialog.close());
  const head = make("header", {}, make("h2", { id }, title), close);
  const kind = isWide ? "wide" : "";
  const dialog = make("dialog", { "aria-labelledby": id, class: kind }, head, ...children);
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.(dialog.returnValue);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Whether the user agrees.
export function confirmed(question, action) {
  return new Promise((resolve) => {
    const yes = button(action, () => dialog.close("yes"), { class: "danger" });
    const no = button("Cancel", () => dialog.close());
    const row = make("div", { class: "row end" }, no, yes);
    const onclose = (value) => resolve(value === "yes");
    const dialog = showDialog(action, [make("p", {}, question), row], { onclose });
    yes.focus();
  });
}
