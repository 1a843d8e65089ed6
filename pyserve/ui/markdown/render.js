// Blocks of Markdown as elements. Strings become text and nothing else; links go to the web or to
// mail programs, and pictures are links: nothing is loaded from elsewhere.

import { codeNodes } from "../code/colours.js";
import { copyButton } from "../core/clipboard.js";
import { make } from "../core/dom.js";
import { parseInline } from "./inline.js";
import { formula } from "./mathml.js";

const SAFE = /^(?:https?:\/\/|mailto:)/i;

export function inline(text) {
  return parseInline(text).map(inlineNode);
}

function inlineNode(node) {
  if (node.text !== undefined) return document.createTextNode(node.text);
  if (node.code !== undefined) return make("code", {}, node.code);
  if (node.math !== undefined) return formula(node.math, node.isDisplay);
  if (node.type === "break") return make("br");
  if (node.type === "image") return link(node.href, [node.alt || node.href]);
  const children = node.children.map(inlineNode);
  return node.type === "link" ? link(node.href, children) : make(node.type, {}, ...children);
}

function link(href, children) {
  if (!SAFE.test(href)) return make("span", { title: href }, ...children);
  return make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

const RENDER = {
  heading: ({ level, text }) => make(`h${Math.min(level + 2, 6)}`, {}, ...inline(text)),
  paragraph: ({ text }) => make("p", {}, ...inline(text)),
  rule: () => make("hr"),
  quote: ({ children }) => make("blockquote", {}, ...children.map(blockElement)),
  math: ({ text }) => make("div", { class: "formula", tabindex: "0" }, formula(text, true)),
  code: codeElement,
  list: listElement,
  table: tableElement,
};

// The element of a block.
export function blockElement(block) {
  return RENDER[block.type](block);
}

function codeElement({ info, text }) {
  const [language] = info.split(/\s/);
  const code = make("code", {}, ...codeNodes(text, language));
  const name = make("span", { class: "language" }, language || "text");
  const head = make(
    "div",
    { class: "code-head" },
    name,
    copyButton(() => code.textContent),
  );
  const label = language ? `Code, ${language}` : "Code";
  const body = make("pre", { tabindex: "0", role: "region", "aria-label": label }, code);
  return make("div", { class: "code" }, head, body);
}

function listElement({ isOrdered, start, isLoose, items }) {
  const children = items.map((item) => itemElement(item, isLoose));
  const from = isOrdered && start !== 1 ? { start } : {};
  return make(isOrdered ? "ol" : "ul", from, ...children);
}

function itemElement({ children, isDone }, isLoose) {
  const parts = children.flatMap((block) => {
    const isTight = !isLoose && block.type === "paragraph";
    return isTight ? inline(block.text) : [blockElement(block)];
  });
  if (isDone === null) return make("li", {}, ...parts);
  const label = isDone ? "done" : "to do";
  const box = make("input", {
    type: "checkbox",
    checked: isDone,
    disabled: true,
    "aria-label": label,
  });
  return make("li", { class: "task" }, box, " ", ...parts);
}

function tableElement({ head, align, rows }) {
  const cell = (tag, attributes) => (text, i) => {
    const side = align[i] ? { class: `align-${align[i]}` } : {};
    return make(tag, { ...attributes, ...side }, ...inline(text));
  };
  const heads = head.map(cell("th", { scope: "col" }));
  const body = rows.map((row) => make("tr", {}, ...row.map(cell("td", {}))));
  const table = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...body),
  );
  return make(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": "Table" },
    table,
  );
}
