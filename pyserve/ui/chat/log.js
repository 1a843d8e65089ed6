// The turns of a conversation, also ten thousand of them: those far from the screen are plain text
// that the browser does not lay out.

import { make } from "../core/dom.js";
import { MessageView } from "./message.js";

const NEAR = "1200px 0px";
const END_PX = 48;

export class Log {
  constructor(actions) {
    this.actions = actions;
    this.turns = make("div", { class: "turns" });
    this.element = make("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Conversation" }, this.turns);
    this.views = new Map();
    this.path = [];
    this.follows = true;
    this.near = new IntersectionObserver((entries) => this.came(entries), {
      root: this.element,
      rootMargin: NEAR,
    });
    new ResizeObserver(() => this.follows && this.toEnd()).observe(this.turns);
    this.element.addEventListener("scroll", () => {
      this.follows = this.isAtEnd();
      this.element.classList.toggle("is-away", !this.follows);
    });
  }

  came(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      target.view.complete();
      this.near.unobserve(target);
    }
  }

  // Shows the path; turns that are shown already stay as they are.
  show(path) {
    let same = 0;
    while (same < path.length && path[same].id === this.path[same]?.id) same += 1;
    for (const { id } of this.path.slice(same)) this.drop(id);
    this.turns.append(...path.slice(same).map((message) => this.add(message)));
    this.path = [...path];
  }

  add(message) {
    const view = new MessageView(message, this.actions);
    this.views.set(message.id, view);
    this.near.observe(view.element);
    return view.element;
  }

  drop(id) {
    const view = this.views.get(id);
    this.near.unobserve(view.element);
    view.element.remove();
    this.views.delete(id);
  }

  clear() {
    this.show([]);
    this.follows = true;
  }

  // Shows again what a turn's buttons depend on.
  refresh(ids = this.views.keys()) {
    for (const id of [...ids]) this.views.get(id)?.show();
  }

  isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < END_PX;
  }

  toEnd() {
    this.follows = true;
    this.element.scrollTop = this.element.scrollHeight;
  }
}
