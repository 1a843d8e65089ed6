// Formulas as MathML, which browsers lay out themselves.

import { mathml as make } from "../core/dom.js";
import { lettersOf } from "./letters.js";
import { parseMath } from "./math.js";

const MAKE = {
  row: ({ children }) => make("mrow", {}, ...children.map(build)),
  num: ({ text, font }) => make("mn", {}, lettersOf(text, font)),
  id: identifier,
  op: ({ text }) => make("mo", {}, text),
  fn: ({ text }) => make("mi", { mathvariant: "normal" }, text),
  text: ({ text }) => make("mtext", {}, text),
  unknown: ({ text }) => make("mtext", { class: "unknown" }, text),
  space: ({ width }) => make("mspace", { width }),
  frac: fraction,
  root: ({ of, index }) => {
    return index ? make("mroot", {}, build(of), build(index)) : make("msqrt", {}, build(of));
  },
  script,
  accent: ({ base, mark, isUnder }) => {
    const sign = make("mo", { stretchy: "true" }, mark);
    const accent = isUnder ? {} : { accent: "true" };
    return make(isUnder ? "munder" : "mover", accent, build(base), sign);
  },
  fence: ({ open, child, close }) =>
    make("mrow", {}, ...fence(open), build(child), ...fence(close)),
  table: ({ rows, align, open, close }) => {
    return make("mrow", {}, ...fence(open), table(rows, align), ...fence(close));
  },
};

// The element of a formula; its TeX is its label.
export function formula(text, isDisplay) {
  const display = isDisplay ? "block" : "inline";
  return make("math", { display, "aria-label": text, title: text }, build(parseMath(text)));
}

function build(node) {
  return MAKE[node.type](node);
}

function identifier({ text, font }) {
  if (font === "normal") return make("mi", { mathvariant: "normal" }, text);
  return make("mi", {}, lettersOf(text, font));
}

function fraction({ over, under, hasLine }) {
  const line = hasLine ? {} : { linethickness: "0" };
  return make("mfrac", line, build(over), build(under));
}

function script({ base, sub, sup, isStack }) {
  const isOutside = isStack || base.hasLimits;
  const names = isOutside ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
  const parts = [sub, sup].filter((part) => part !== null).map(build);
  const name = parts.length === 2 ? names[2] : names[sub ? 0 : 1];
  return make(name, {}, build(base), ...parts);
}

function fence(text) {
  return text ? [make("mo", { fence: "true", stretchy: "true" }, text)] : [];
}

const SIDES = { l: "left", c: "center", r: "right" };

function table(rows, align) {
  const side = (column) => {
    const letter = align === "rl" ? align[column % 2] : (align[column] ?? align.at(-1) ?? "c");
    return { class: `align-${SIDES[letter]}` };
  };
  const cell = (node, column) => make("mtd", side(column), build(node));
  return make("mtable", {}, ...rows.map((row) => make("mtr", {}, ...row.map(cell))));
}
