// Markdown within a block: emphasis, code, links, formulas. Pure: a text becomes a tree of nodes.
//
// Nodes: {text}, {code}, {math, isDisplay}, {type: "break"}, {type, children} for strong, em, del
// and link, which has an href; {type: "image", href, alt}.

const SPECIAL = /[\\`*_~[\]!<$\n]|https?:\/\//g;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const MAX_BRACKETS = 64;
const MAX_OPEN = 32; // runs of delimiters: bounds the depth, and the work for one that closes
const AUTOLINK = /^<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/i;
const BREAK = /^<br *\/?>/i;
const BARE = /^https?:\/\/[^\s<>"`]+/;
const TARGET =
  /^\([ \n]*(<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:[ \n]+(?:"[^"]*"|'[^']*'))?[ \n]*\)/;

// The nodes of a text.
export function parseInline(text) {
  return new Inline(text).parse();
}

class Inline {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.parts = []; // nodes, and runs of delimiters {mark, n, canOpen, canClose}
    this.brackets = []; // open ones: {index, isImage}
    this.missing = new Set(); // closers that no text after here has
  }

  parse() {
    while (this.at < this.text.length) {
      SPECIAL.lastIndex = this.at;
      const found = SPECIAL.exec(this.text);
      const end = found ? found.index : this.text.length;
      if (end > this.at) this.plain(this.text.slice(this.at, end));
      this.at = end;
      if (found) this.special(this.text[end]);
    }
    return emphasized(this.parts);
  }

  plain(text) {
    const last = this.parts.at(-1);
    if (last?.text !== undefined) last.text += text;
    else this.parts.push({ text });
  }

  // Takes `length` characters as the node, or as text without one.
  take(length, node) {
    if (node) this.parts.push(node);
    else this.plain(this.text.slice(this.at, this.at + length));
    this.at += length;
  }

  special(char) {
    const read = { "\\": "escape", "`": "code", "*": "run", _: "run", "~": "run", "[": "open" };
    const others = { "]": "close", "!": "image", "<": "angle", $: "dollar", "\n": "newline" };
    this[read[char] ?? others[char] ?? "bareLink"]();
  }

  // Where `closer` is at or after `from`; -1 if nowhere. Looks for each missing one only once.
  indexOf(closer, from) {
    if (this.missing.has(closer)) return -1;
    const index = this.text.indexOf(closer, from);
    if (index < 0) this.missing.add(closer);
    return index;
  }

  escape() {
    const next = this.text[this.at + 1] ?? "";
    if ((next === "(" || next === "[") && this.math(next === "(" ? "\\)" : "\\]", 2)) return;
    if (next === "\n") this.take(2, { type: "break" });
    else if (ESCAPABLE.test(next)) {
      this.plain(next);
      this.at += 2;
    } else this.take(1);
  }

  math(closer, length) {
    const end = this.indexOf(closer, this.at + length);
    if (end < 0) return false;
    const math = this.text.slice(this.at + length, end);
    if (math.trim() === "") return false;
    const isDisplay = closer === "$$" || closer === "\\]";
    this.take(end + closer.length - this.at, { math: math.trim(), isDisplay });
    return true;
  }

  dollar() {
    if (this.text.startsWith("$$", this.at)) {
      if (!this.math("$$", 2)) this.take(2);
      return;
    }
    const found = /^\$(?=[^\s$])((?:[^$\\\n]|\\.|\n(?!\n))*?[^\s\\$]|[^\s\\$])\$(?!\d)/.exec(
      this.indexOf("$", this.at + 1) < 0 ? "" : this.text.slice(this.at, this.at + 1000),
    );
    if (found) this.take(found[0].length, { math: found[1], isDisplay: false });
    else this.take(1);
  }

  code() {
    const [ticks] = /^`+/.exec(this.text.slice(this.at));
    let end = this.at + ticks.length;
    while (true) {
      end = this.indexOf(ticks, end);
      if (end < 0) return this.take(ticks.length);
      const [run] = /^`+/.exec(this.text.slice(end));
      if (run.length === ticks.length) break;
      end += run.length;
    }
    let code = this.text.slice(this.at + ticks.length, end).replaceAll("\n", " ");
    if (/^ .*[^ ].* $/.test(code)) code = code.slice(1, -1);
    return this.take(end + ticks.length - this.at, { code });
  }

  run() {
    const mark = this.text[this.at];
    let n = 1;
    while (this.text[this.at + n] === mark) n += 1;
    if (mark === "~" && n !== 2) return this.take(n);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + n] ?? " ";
    const isLeft = flanks(before, after);
    const isRight = flanks(after, before);
    const isWord = mark === "_";
    const canOpen = isLeft && (!isWord || !isRight || PUNCTUATION.test(before));
    const canClose = isRight && (!isWord || !isLeft || PUNCTUATION.test(after));
    this.parts.push({ mark, n, canOpen, canClose });
    this.at += n;
  }

  open(isImage = false) {
    this.brackets.push({ index: this.parts.length, isImage });
    if (this.brackets.length > MAX_BRACKETS) this.brackets.shift();
    const text = isImage ? "![" : "[";
    this.parts.push({ text, isBracket: true });
    this.parts.push({ text: "" });
    this.at += text.length;
  }

  image() {
    if (this.text[this.at + 1] === "[") this.open(true);
    else this.take(1);
  }

  close() {
    const bracket = this.brackets.pop();
    const target = bracket && TARGET.exec(this.text.slice(this.at + 1, this.at + 4097));
    if (!target) return this.take(1);
    const inner = emphasized(this.parts.splice(bracket.index).slice(1));
    const href = target[1].replace(/^<|>$/g, "");
    const node = bracket.isImage
      ? { type: "image", href, alt: plainOf(inner) }
      : { type: "link", href, children: inner };
    if (!bracket.isImage) this.brackets = this.brackets.filter(({ isImage }) => isImage);
    return this.take(1 + target[0].length, node);
  }

  angle() {
    const rest = this.text.slice(this.at, this.at + 2048);
    const link = AUTOLINK.exec(rest);
    if (link) return this.take(link[0].length, linkOf(link[1]));
    const found = BREAK.exec(rest);
    return found ? this.take(found[0].length, { type: "break" }) : this.take(1);
  }

  bareLink() {
    const [found] = BARE.exec(this.text.slice(this.at, this.at + 2048)) ?? [""];
    let href = found.replace(/[.,;:!?'*_~]+$/, "");
    if (href.endsWith(")") && !href.includes("(")) href = href.slice(0, -1);
    if (href.length > "https://".length) this.take(href.length, linkOf(href));
    else this.take("http".length);
  }

  newline() {
    const last = this.parts.at(-1);
    if (last?.text?.endsWith("  ")) {
      last.text = last.text.trimEnd();
      this.take(1, { type: "break" });
    } else this.take(1);
  }
}

function linkOf(href) {
  return { type: "link", href, children: [{ text: href.replace(/^mailto:/i, "") }] };
}

// CommonMark's left-flanking run: `after` follows it.
function flanks(before, after) {
  if (/\s/.test(after)) return false;
  return !PUNCTUATION.test(after) || /\s/.test(before) || PUNCTUATION.test(before);
}

// What nodes say, without their form.
export function plainOf(nodes) {
  return nodes
    .map((node) => node.text ?? node.code ?? node.math ?? node.alt ?? plainOf(node.children ?? []))
    .join("");
}

// Nodes whose runs of delimiters have become emphasis, or text. After CommonMark's appendix.
function emphasized(parts) {
  const stack = []; // [indices of open runs]
  const out = [];
  for (const part of parts) {
    if (part.mark === undefined) {
      out.push(part);
      continue;
    }
    const run = { ...part };
    if (run.canClose) closeRun(run, stack, out);
    if (run.n > 0) {
      if (run.canOpen) stack.push(out.length);
      if (stack.length > MAX_OPEN) stack.shift();
      out.push(run);
    }
  }
  return out.map(textOfRun).filter(({ text }) => text !== "");
}

function closeRun(run, stack, out) {
  while (run.n > 0) {
    const k = openerOf(run, stack, out);
    if (k < 0) return;
    const opener = out[stack[k]];
    const used = run.mark === "~" || (run.n > 1 && opener.n > 1) ? 2 : 1;
    const children = out.splice(stack[k] + 1).map(textOfRun);
    stack.length = k + 1;
    opener.n -= used;
    run.n -= used;
    if (opener.n === 0) {
      out.pop();
      stack.pop();
    }
    const type = run.mark === "~" ? "del" : used === 2 ? "strong" : "em";
    out.push({ type, children: children.filter(({ text }) => text !== "") });
  }
}

function openerOf(run, stack, out) {
  for (let k = stack.length - 1; k >= 0; k -= 1) {
    const opener = out[stack[k]];
    const isOdd = (run.canOpen || opener.canClose) && (run.n + opener.n) % 3 === 0;
    if (opener.mark === run.mark && !(isOdd && (run.n % 3 || opener.n % 3))) return k;
  }
  return -1;
}

function textOfRun(part) {
  return part.mark === undefined ? part : { text: part.mark.repeat(part.n) };
}
