// Code as parts with a kind: comments, texts, numbers, words of the language, all else. Pure, in
// linear time: every part is taken once, by one expression without nested repetition.

import { FAMILIES } from "./languages.js";

const NUMBER = "\\b(?:0[xXbBoO][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\w{0,3}";
const WORD = "[A-Za-z_$][\\w$]*";
const made = new Map();

function lexerOf(language) {
  const family = FAMILIES.find(({ names }) => names.includes(language.toLowerCase()));
  if (!family) return null;
  if (!made.has(family)) made.set(family, makeLexer(family));
  return made.get(family);
}

function makeLexer({ comments, texts, words, marks, ignoresCase }) {
  const kinds = [
    ["comment", comments.join("|")],
    ["string", texts.join("|")],
    ...(marks ? [["keyword", marks]] : []),
    ["number", NUMBER],
    ["word", WORD],
  ];
  const source = kinds.map(([kind, one]) => `(?<${kind}>${one})`).join("|");
  return { pattern: new RegExp(source, "g"), words: new Set(words.split(" ")), ignoresCase };
}

// [{kind, text}], which together are the text; kind: "comment", "string", "number", "keyword"; ""
// is all else. null: a language that is not known.
export function parts(text, language) {
  const lexer = lexerOf(language);
  if (!lexer) return null;
  const isWord = (word) => lexer.words.has(lexer.ignoresCase ? word.toLowerCase() : word);
  const found = [];
  let at = 0;
  for (const match of text.matchAll(lexer.pattern)) {
    let [kind] = Object.entries(match.groups).find(([, value]) => value !== undefined);
    if (kind === "word") kind = isWord(match[0]) && "keyword";
    if (!kind) continue;
    if (match.index > at) found.push({ kind: "", text: text.slice(at, match.index) });
    found.push({ kind, text: match[0] });
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push({ kind: "", text: text.slice(at) });
  return found;
}
