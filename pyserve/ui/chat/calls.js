// The calls of tools in an answer: their arguments, and a field for the result of each.

import { button, field, make } from "../core/dom.js";

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// calls: of a message. onresults: takes a result for each, in their order; null: they have one, or
// the answer is not finished.
export function callsElement(calls, onresults) {
  const areas = calls.map(() => make("textarea", { rows: 2, spellcheck: "false" }));
  const parts = calls.map(({ name, arguments: text }, i) => {
    const head = make("h4", {}, "Call of ", make("code", {}, name));
    const shown = make("pre", { tabindex: "0" }, pretty(text));
    const result = onresults && field(`Result of ${name}`, areas[i]);
    return make("section", { class: "call" }, head, shown, result);
  });
  if (!onresults) return make("div", { class: "calls" }, ...parts);
  const send = button("Send the results", () => onresults(areas.map(({ value }) => value)));
  return make("div", { class: "calls" }, ...parts, send);
}
