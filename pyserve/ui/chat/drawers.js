// The drawers beside a chat: open or closed, and on wide screens as they were left.

import { read, write } from "../core/prefs.js";

const wide = globalThis.matchMedia?.("(min-width: 60rem)");

export const isWide = () => wide.matches;

export class Drawers {
  // parts: by name, {element, toggle, isOpen}; isOpen: at first, on wide screens.
  // element: gets the class `has-name` while a drawer is open.
  constructor(element, parts) {
    this.element = element;
    this.parts = parts;
    this.begin();
    wide.addEventListener("change", () => this.begin());
  }

  begin() {
    for (const [name, { isOpen }] of Object.entries(this.parts)) {
      this.set(name, isWide() && read(name, isOpen));
    }
  }

  set(name, isOpen) {
    const { element, toggle } = this.parts[name];
    this.element.classList.toggle(`has-${name}`, isOpen);
    toggle.setAttribute("aria-expanded", String(isOpen));
    element.inert = !isOpen;
  }

  toggle(name) {
    const isOpen = !this.element.classList.contains(`has-${name}`);
    this.set(name, isOpen);
    if (isWide()) write(name, isOpen);
    if (isOpen) this.parts[name].element.querySelector("button, select, input")?.focus();
  }

  // Where they cover the chat.
  close() {
    if (isWide()) return;
    for (const name of Object.keys(this.parts)) this.set(name, false);
  }
}
