// Code with its colours, as nodes. What copies it gets its text as it is.

import { make } from "../core/dom.js";
import { parts } from "./lexer.js";

const MOST_CHARS = 60_000; // a longer one is shown as it is

export function codeNodes(text, language) {
  const found = text.length > MOST_CHARS ? null : parts(text, language);
  if (!found) return [document.createTextNode(text)];
  return found.map((part) =>
    part.kind ? make("span", { class: part.kind }, part.text) : document.createTextNode(part.text),
  );
}
