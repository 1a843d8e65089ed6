// The turns of a conversation, also ten thousand of them. They are in groups: the browser leaves out
// those that are far from the screen, and their turns are plain text until they come near it.

import { make } from "../core/dom.js";
import { MessageView } from "./message.js";

const NEAR = "1200px 0px";
const END_PX = 48;
const GROUP = 10;

export class Log {
  constructor(actions) {
    this.actions = actions;
    this.turns = make("div", { class: "turns" });
    const region = { class: "log", tabindex: "0", role: "region", "aria-label": "Conversation" };
    this.element = make("div", region, this.turns);
    this.views = new Map();
    this.path = [];
    this.follows = true;
    const options = { root: this.element, rootMargin: NEAR };
    this.near = new IntersectionObserver((entries) => this.came(entries), options);
    new ResizeObserver(() => this.follows && this.toEnd()).observe(this.turns);
    this.top = 0;
    this.element.addEventListener("scroll", () => this.scrolled());
  }

  // Only who scrolls up leaves the end: what comes moves it away, too, before this is called.
  scrolled() {
    const { scrollTop } = this.element;
    if (this.isAtEnd()) this.follows = true;
    else if (scrollTop < this.top) this.follows = false;
    this.top = scrollTop;
    this.element.classList.toggle("is-away", !this.follows);
  }

  came(entries) {
    for (const { isIntersecting, target } of entries) {
      target.isNear = isIntersecting;
      if (isIntersecting) for (const { view } of target.children) view.complete();
    }
  }

  // Shows the path; turns that are shown already stay as they are.
  show(path) {
    let same = 0;
    while (same < path.length && path[same].id === this.path[same]?.id) same += 1;
    for (const { id } of this.path.slice(same).reverse()) this.drop(id);
    path.slice(same).forEach((message) => this.add(message));
    this.path = [...path];
  }

  add(message) {
    let group = this.turns.lastElementChild;
    if (!group || group.childElementCount === GROUP) {
      group = make("div", { class: "group" });
      this.turns.append(group);
      this.near.observe(group);
    }
    const view = new MessageView(message, this.actions);
    this.views.set(message.id, view);
    group.append(view.element);
    if (group.isNear) view.complete();
  }

  drop(id) {
    const { element } = this.views.get(id);
    const group = element.parentElement;
    element.remove();
    this.views.delete(id);
    if (group.childElementCount > 0) return;
    this.near.unobserve(group);
    group.remove();
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
