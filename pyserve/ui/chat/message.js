// One turn of a conversation. It is plain text at first, and whole when it comes near the screen.

import { copyButton } from "../core/clipboard.js";
import { button, make } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { iconButton } from "../core/icons.js";
import { LiveMarkdown } from "../markdown/live.js";
import { callsElement } from "./calls.js";
import { costText, endText } from "./cost.js";
import { probabilitiesElement } from "./probabilities.js";

const NAMES = { user: "You", assistant: "Answer", tool: "Result of a tool", system: "System" };

// actions: what a turn can do, functions that take its message: edit, regenerate, continue, branch,
// remove, turnTo(message, step), results(message, texts); place(message): {index, n} among siblings,
// hasResults(message).
export class MessageView {
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.isWhole = false;
    this.isRunning = false;
    this.text = make("div", { class: "text" }, message.content);
    const name = make("h2", { class: "hidden" }, NAMES[message.role]);
    this.element = make("article", { class: `turn ${message.role}` }, name, this.text);
    this.element.view = this;
  }

  // Builds what is not there yet. Once whole, it stays so.
  complete() {
    if (this.isWhole) return;
    this.isWhole = true;
    this.build();
  }

  build() {
    const { message } = this;
    this.text = make("div", { class: "text" });
    this.reasoning = make("div", { class: "text" });
    this.thoughts = make(
      "details",
      { class: "reasoning" },
      make("summary", {}, "Reasoning"),
      this.reasoning,
    );
    this.live = new LiveMarkdown(this.text);
    this.liveReasoning = new LiveMarkdown(this.reasoning);
    this.after = make("div", { class: "after" });
    this.status = make("span", { class: "cost" });
    this.buttons = make("div", { class: "actions" });
    const foot = make("footer", {}, this.buttons, this.status);
    const name = make("h2", { class: "hidden" }, NAMES[message.role]);
    const files = (message.files ?? []).map(fileElement);
    this.element.replaceChildren(name, ...files, this.thoughts, this.text, this.after, foot);
    this.show();
  }

  // Shows the message as it is now.
  show(progress = "") {
    if (!this.isWhole) return;
    const { message } = this;
    if (message.role === "assistant") {
      this.live.show(message.content);
      this.liveReasoning.show(message.reasoning ?? "");
      if (!this.isRunning) this.live.finish();
    } else this.text.textContent = message.content;
    this.thoughts.hidden = !message.reasoning;
    this.element.classList.toggle("running", this.isRunning);
    this.element.setAttribute("aria-busy", String(this.isRunning));
    this.status.textContent = this.isRunning
      ? progress
      : message.cost
        ? costText(message.cost)
        : "";
    this.showAfter();
    if (this.isRunning) this.buttons.replaceChildren();
    else this.showButtons();
  }

  showAfter() {
    const { message, isRunning, actions } = this;
    const { calls = [], error, finish } = message;
    if (isRunning && calls.length === 0) return this.after.replaceChildren();
    const parts = [];
    if (calls.length) {
      const isOpen = !isRunning && !actions.hasResults(message);
      parts.push(callsElement(calls, isOpen ? (texts) => actions.results(message, texts) : null));
    }
    const end = isRunning ? "" : endText(finish);
    if (end) parts.push(make("p", { class: "note" }, end));
    if (error) parts.push(make("p", { class: "error", role: "alert" }, error));
    return this.after.replaceChildren(...parts);
  }

  showButtons() {
    const { message, actions } = this;
    const { role } = message;
    const act = (name, label, does) => iconButton(name, label, () => does(message));
    const turners = this.turners();
    this.element.classList.toggle("has-versions", turners.length > 0);
    this.buttons.replaceChildren(
      ...turners,
      copyButton(() => message.content, "Copy the text", true),
      ...(role === "tool" ? [] : [iconButton("edit", "Edit", () => this.edit())]),
      ...(role === "assistant" ? [act("again", "Regenerate", actions.regenerate)] : []),
      ...(role === "assistant" ? [act("go", "Continue the answer", actions.continue)] : []),
      ...(message.tokens?.length ? [this.probabilitiesButton()] : []),
      act("branch", "Branch into a new conversation", actions.branch),
      act("trash", "Delete this turn and what follows", actions.remove),
    );
  }

  turners() {
    const { index, n } = this.actions.place(this.message);
    if (n < 2) return [];
    const turn = (step) => () => this.actions.turnTo(this.message, step);
    return [
      iconButton("left", "Version before", turn(-1), { disabled: index === 0 }),
      make("span", { class: "place" }, `${index + 1}/${n}`),
      iconButton("right", "Version after", turn(1), { disabled: index === n - 1 }),
    ];
  }

  probabilitiesButton() {
    const made = iconButton("bars", "Token probabilities", () => {
      const isShown = made.getAttribute("aria-pressed") === "true";
      made.setAttribute("aria-pressed", String(!isShown));
      if (isShown) this.live = new LiveMarkdown(this.cleared());
      const { content, tokens } = this.message;
      if (isShown) this.live.show(content);
      else this.cleared().append(probabilitiesElement(tokens));
    });
    made.setAttribute("aria-pressed", "false");
    return made;
  }

  cleared() {
    this.text.replaceChildren();
    return this.text;
  }

  edit() {
    const { message } = this;
    const area = make("textarea", { "aria-label": "Edit the text", value: message.content });
    area.rows = Math.min(20, message.content.split("\n").length + 1);
    const label = message.role === "user" ? "Send" : "Save";
    const leave = () => {
      this.build();
      this.element.querySelector(".actions button")?.focus();
    };
    const save = () =>
      area.value === message.content ? leave() : this.actions.edit(message, area.value);
    const row = make(
      "div",
      { class: "row" },
      button(label, save, { class: "primary" }),
      button("Cancel", leave),
    );
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault(); // else it stops an answer, too
        leave();
      }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    });
    this.text.replaceChildren(area, row);
    this.buttons.replaceChildren();
    area.focus();
  }
}

function fileElement({ name, text }) {
  const size = bytes(new Blob([text]).size);
  const summary = make("summary", {}, name, " ", make("small", {}, size));
  return make("details", { class: "file" }, summary, make("pre", { tabindex: "0" }, text));
}
