// TeX's formulas into a tree. Pure. What is not known stays as its own text: {type: "unknown"}.
//
// Nodes: {type: "row", children}; "id", "num", "op", "text", "fn", "unknown" with a text; "space"
// with a width; "frac" {over, under, hasLine}; "root" {of, index}; "script" {base, sub, sup};
// "accent" {base, mark, isUnder}; "fence" {open, close, child}; "table" {rows, align, open, close}.

import {
  ACCENTS,
  BIG,
  FONTS,
  FUNCTIONS,
  LETTERS,
  LIMITS,
  OPERATORS,
  SPACES,
  UNDERS,
} from "./symbols.js";

const MAX_DEPTH = 60;
const MAX_CHARS = 8192;
const MAX_SCRIPTS = 16; // of one base
const TOKEN = /\\(?:[A-Za-z]+\*?|[^])|\d+(?:[.,]\d+)*|\s+|[^]/gu;
const FENCES = {
  matrix: ["", ""],
  pmatrix: ["(", ")"],
  bmatrix: ["[", "]"],
  Bmatrix: ["{", "}"],
  vmatrix: ["|", "|"],
  Vmatrix: ["‖", "‖"],
  cases: ["{", ""],
  smallmatrix: ["", ""],
};
const ALIGNED =
  /^(?:aligned|align|align\*|split|gather|gather\*|gathered|equation|equation\*|array)$/;
const IGNORED = new Set(
  (
    "displaystyle textstyle scriptstyle limits nolimits nonumber notag label big Big bigg Bigg bigl" +
    " bigr Bigl Bigr biggl biggr Biggl Biggr middle"
  ).split(" "),
);

// The tree of a formula.
export function parseMath(text) {
  if (text.length > MAX_CHARS) return { type: "unknown", text };
  const tokens = text.match(TOKEN) ?? [];
  return new Parser(tokens).row(() => false);
}

class Parser {
  constructor(tokens) {
    this.tokens = tokens;
    this.at = 0;
    this.depth = 0;
  }

  get token() {
    return this.tokens[this.at];
  }

  // Nodes until `ends(token)` or the end.
  row(ends) {
    const children = [];
    while (this.at < this.tokens.length && !ends(this.token)) {
      const before = this.at;
      const node = this.scripted();
      if (node) children.push(node);
      if (this.at === before) this.at += 1;
    }
    return { type: "row", children };
  }

  scripted() {
    let base = /^[_^']$/.test(this.token) ? { type: "row", children: [] } : this.atom();
    const script = { sub: null, sup: null };
    for (let n = 0; base && n < MAX_SCRIPTS; n += 1) {
      this.skipSpace(/^[_^']$/);
      if (this.token === "'") this.prime(script);
      else if (this.token === "_" || this.token === "^") {
        const side = this.token === "_" ? "sub" : "sup";
        if (script[side]) {
          base = { type: "script", base, ...script };
          Object.assign(script, { sub: null, sup: null });
        }
        this.at += 1;
        script[side] = this.argument();
      } else break;
    }
    if (!script.sub && !script.sup) return base;
    return { type: "script", base, ...script };
  }

  prime(script) {
    let marks = "";
    for (; this.token === "'"; this.at += 1) marks += "′";
    const mark = { type: "op", text: marks };
    script.sup = script.sup ? { type: "row", children: [script.sup, mark] } : mark;
  }

  // Goes over spaces if what follows them matches.
  skipSpace(before) {
    let next = this.at;
    while (/^\s/.test(this.tokens[next] ?? "")) next += 1;
    if (!before || before.test(this.tokens[next] ?? "")) this.at = next;
  }

  argument() {
    this.skipSpace();
    if (this.token === undefined) return { type: "row", children: [] };
    if (this.token === "{") return this.group();
    if (/^\d\d/.test(this.token)) return this.digit();
    return this.atom() ?? { type: "row", children: [] };
  }

  digit() {
    const [first] = this.token;
    this.tokens[this.at] = this.token.slice(1);
    return { type: "num", text: first };
  }

  group() {
    this.at += 1;
    const row = this.row((token) => token === "}");
    this.at += 1;
    return row;
  }

  // The text of a group, as it is written.
  rawGroup() {
    this.skipSpace();
    if (this.token !== "{") return this.tokens[this.at++] ?? "";
    let text = "";
    let nOpen = 0;
    for (; this.at < this.tokens.length; this.at += 1) {
      if (this.token === "{") nOpen += 1;
      if (this.token === "}") nOpen -= 1;
      if (nOpen === 0) break;
      text += this.token;
    }
    this.at += 1;
    return text.slice(1).replace(/\\([ {}_$%&#])/g, "$1");
  }

  atom() {
    if (this.depth > MAX_DEPTH) {
      this.at = this.tokens.length;
      return { type: "unknown", text: "…" };
    }
    this.depth += 1;
    const node = this.nextAtom();
    this.depth -= 1;
    return node;
  }

  nextAtom() {
    const token = this.token;
    if (token === "{") return this.group();
    this.at += 1;
    if (/^\s/.test(token)) return null;
    if (token[0] === "\\") return this.command(token.slice(1));
    if (/^\d/.test(token)) return { type: "num", text: token };
    if (/^\p{L}/u.test(token)) return { type: "id", text: token };
    if (token === "~") return { type: "space", width: SPACES.get(" ") };
    return { type: "op", text: token === "-" ? "−" : token };
  }

  command(name) {
    if (LETTERS.has(name)) return { type: "id", text: LETTERS.get(name) };
    if (OPERATORS.has(name)) return { type: "op", text: OPERATORS.get(name) };
    if (BIG.has(name)) return { type: "op", text: BIG.get(name), hasLimits: !/int$/.test(name) };
    if (FUNCTIONS.has(name)) return { type: "fn", text: name, hasLimits: LIMITS.has(name) };
    if (SPACES.has(name)) return { type: "space", width: SPACES.get(name) };
    if (/^[{}%$&#_]$/.test(name)) return { type: "op", text: name };
    if (name === "|") return { type: "op", text: "‖" };
    if (IGNORED.has(name)) return null;
    return this.structure(name);
  }

  structure(name) {
    if (ACCENTS.has(name)) return this.accent(ACCENTS.get(name), false);
    if (UNDERS.has(name)) return this.accent(UNDERS.get(name), true);
    if (FONTS.has(name)) return styled(this.argument(), FONTS.get(name));
    if (/^[dtc]?frac$/.test(name)) return this.fraction(true);
    if (/^[dt]?binom$/.test(name)) return fenced("(", this.fraction(false), ")");
    if (/^(?:text|textrm|textit|textbf|mbox|operatorname\*?)$/.test(name)) return this.words(name);
    const read = {
      sqrt: "root",
      left: "fence",
      begin: "environment",
      stackrel: "stack",
      overset: "stack",
    };
    Object.assign(read, { underset: "stackUnder", boxed: "argument", not: "negated", tag: "tag" });
    if (Object.hasOwn(read, name)) return this[read[name]]();
    return { type: "unknown", text: `\\${name}` };
  }

  accent(mark, isUnder) {
    return { type: "accent", base: this.argument(), mark, isUnder };
  }

  fraction(hasLine) {
    return { type: "frac", over: this.argument(), under: this.argument(), hasLine };
  }

  words(name) {
    const text = this.rawGroup();
    return name.startsWith("operatorname") ? { type: "fn", text } : { type: "text", text };
  }

  root() {
    this.skipSpace(/^\[$/);
    let index = null;
    if (this.token === "[") {
      this.at += 1;
      index = this.row((token) => token === "]");
      this.at += 1;
    }
    return { type: "root", of: this.argument(), index };
  }

  stack() {
    const over = this.argument();
    return { type: "script", base: this.argument(), sub: null, sup: over, isStack: true };
  }

  stackUnder() {
    const under = this.argument();
    return { type: "script", base: this.argument(), sub: under, sup: null, isStack: true };
  }

  negated() {
    const node = this.argument();
    return node.text ? { ...node, text: `${node.text}\u0338` } : node;
  }

  tag() {
    return { type: "text", text: ` (${this.rawGroup()})` };
  }

  delimiter() {
    this.skipSpace();
    const token = this.tokens[this.at++] ?? "";
    if (token === ".") return "";
    if (token === "\\|") return "‖";
    const name = token.slice(1);
    return token[0] === "\\" ? (OPERATORS.get(name) ?? LETTERS.get(name) ?? name) : token;
  }

  fence() {
    const open = this.delimiter();
    const child = this.row((token) => token === "\\right");
    this.at += 1;
    return fenced(open, child, this.at <= this.tokens.length ? this.delimiter() : "");
  }

  environment() {
    const name = this.rawGroup();
    const [open, close] = FENCES[name] ?? ["", ""];
    if (!Object.hasOwn(FENCES, name) && !ALIGNED.test(name)) {
      return { type: "unknown", text: `\\begin{${name}}` };
    }
    const columns = name === "array" ? this.rawGroup().replace(/[^lcr]/g, "") : "";
    const align = name === "cases" ? "l" : /^(?:align|split)/.test(name) ? "rl" : columns;
    const rows = this.cells();
    return { type: "table", rows, align, open, close };
  }

  cells() {
    const rows = [[]];
    const ends = (token) => token === "&" || token === "\\\\" || token === "\\end";
    while (this.at < this.tokens.length) {
      rows.at(-1).push(this.row(ends));
      const end = this.tokens[this.at++];
      if (end === "\\\\") rows.push([]);
      if (end === "\\end") {
        this.rawGroup();
        break;
      }
    }
    const isEmpty = rows.at(-1).every((cell) => cell.children.length === 0);
    return isEmpty && rows.length > 1 ? rows.slice(0, -1) : rows;
  }
}

function fenced(open, child, close) {
  return { type: "fence", open, child, close };
}

// The same node with all its letters in a font.
function styled(node, font) {
  if (node.type === "row")
    return { ...node, children: node.children.map((one) => styled(one, font)) };
  if (node.type === "script") return { ...node, base: styled(node.base, font) };
  const isLetter = node.type === "id" || node.type === "num";
  return isLetter ? { ...node, font } : node;
}
