// Where a message is written: its text, its files, and the button that sends or stops.

import { make } from "../core/dom.js";
import { icon, iconButton } from "../core/icons.js";
import { Attachments } from "./attachments.js";

// onsend(text, files), onstop(), onsnippets(), onlast(): edit the last turn; onproblem(text).
// hasFiles: files may be attached.
export class Composer {
  constructor({ onsend, onstop, onsnippets, onlast, onproblem, hasFiles = true }) {
    Object.assign(this, { onsend, onstop, onlast, hasFiles });
    this.isRunning = false;
    this.attachments = new Attachments(onproblem);
    this.area = make("textarea", { rows: 1, placeholder: "Message", "aria-label": "Message" });
    this.send = make("button", { type: "submit", class: "primary round" });
    const attach = iconButton("clip", "Attach text files", () => this.attachments.input.click());
    const code = iconButton("code", "Copy as curl or Python", onsnippets);
    const row = make(
      "div",
      { class: "write" },
      hasFiles ? attach : null,
      this.area,
      code,
      this.send,
    );
    const { input, element } = this.attachments;
    this.element = make(
      "form",
      { class: "composer", onsubmit: (event) => this.submit(event) },
      element,
      row,
      input,
    );
    this.listen();
    this.show(false);
  }

  listen() {
    this.area.addEventListener("keydown", (event) => this.key(event));
    if (!this.hasFiles) return;
    this.area.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length === 0) return;
      event.preventDefault();
      this.attachments.add(event.clipboardData.files);
    });
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.attachments.add(event.dataTransfer.files);
    });
  }

  key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.element.requestSubmit();
    }
    if (event.key === "ArrowUp" && this.area.value === "" && !this.isRunning) {
      event.preventDefault();
      this.onlast();
    }
  }

  submit(event) {
    event.preventDefault();
    if (this.isRunning) return this.onstop();
    const text = this.area.value;
    if (!text.trim() && this.attachments.files.length === 0) return null;
    this.area.value = "";
    return this.onsend(text, this.attachments.take());
  }

  show(isRunning) {
    this.isRunning = isRunning;
    const label = isRunning ? "Stop" : "Send";
    this.send.setAttribute("aria-label", label);
    this.send.title = isRunning ? "Stop (Escape)" : "Send (Enter)";
    this.send.replaceChildren(icon(isRunning ? "stop" : "send"));
  }

  focus() {
    this.area.focus();
  }
}
