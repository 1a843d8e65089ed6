// Markdown that grows: only the last block, which may still change, is read again.

import { parseBlocks } from "./blocks.js";
import { blockElement } from "./render.js";

// Shows a text in an element, and what is appended to it later.
export class LiveMarkdown {
  #element;
  #text = "";
  #lastAt = 0; // where the last block begins
  #last = null;
  #hasGrown = false;

  constructor(element) {
    this.#element = element;
  }

  show(text) {
    if (!text.startsWith(this.#text)) this.#reset();
    if (text === this.#text) return;
    this.#text = text;
    const rest = text.slice(this.#lastAt);
    const blocks = parseBlocks(rest);
    if (blocks.length === 0) return;
    this.#hasGrown = this.#growCode(blocks);
    if (!this.#hasGrown) {
      this.#dropLast();
      this.#element.append(...blocks.map(blockElement));
    }
    this.#last = blocks.at(-1);
    this.#lastAt += offsetOf(rest, this.#last.line);
  }

  // Nothing more comes: a listing that has grown gets its colours.
  finish() {
    if (this.#hasGrown) this.#element.lastElementChild.replaceWith(blockElement(this.#last));
    this.#hasGrown = false;
  }

  #reset() {
    this.#text = "";
    this.#lastAt = 0;
    this.#last = null;
    this.#hasGrown = false;
    this.#element.replaceChildren();
  }

  #dropLast() {
    if (this.#last) this.#element.lastElementChild.remove();
  }

  // A long listing grows without being made anew.
  #growCode(blocks) {
    const [block] = blocks;
    const isSame = this.#last?.type === "code" && block.type === "code" && blocks.length === 1;
    if (!isSame || this.#last.info !== block.info) return false;
    const code = this.#element.lastElementChild.querySelector("pre code");
    if (block.text.startsWith(this.#last.text))
      code.append(block.text.slice(this.#last.text.length));
    else code.textContent = block.text;
    return true;
  }
}

function offsetOf(text, line) {
  let at = 0;
  for (let i = 0; i < line; i += 1) at = text.indexOf("\n", at) + 1;
  return at;
}
