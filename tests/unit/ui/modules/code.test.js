// Colours of code.

import assert from "node:assert/strict";
import { test } from "node:test";

import { FAMILIES } from "../../../../pyserve/ui/code/languages.js";
import { parts } from "../../../../pyserve/ui/code/lexer.js";

const kinds = (text, language) =>
  parts(text, language)
    .filter(({ kind }) => kind)
    .map(({ kind, text: part }) => `${kind}:${part}`);

test("comments, texts, numbers and words are told apart", () => {
  assert.deepEqual(kinds('def f(x=0x1F):  # a "b"\n  return """c # d"""', "python"), [
    "keyword:def",
    "number:0x1F",
    'comment:# a "b"',
    "keyword:return",
    'string:"""c # d"""',
  ]);
  assert.deepEqual(kinds("const s = `a // ${b}`; /* c\n*/ let d = 1.5e3", "TypeScript"), [
    "keyword:const",
    "string:`a // ${b}`",
    "comment:/* c\n*/",
    "keyword:let",
    "number:1.5e3",
  ]);
  assert.deepEqual(kinds("SELECT a FROM b -- c", "sql"), [
    "keyword:SELECT",
    "keyword:FROM",
    "comment:-- c",
  ]);
  assert.deepEqual(kinds('<a href="x">y</a>', "html"), [
    "keyword:<a",
    'string:"x"',
    "keyword:>",
    "keyword:</a",
    "keyword:>",
  ]);
});

test("a cut text and an escape do not spoil what follows", () => {
  assert.deepEqual(kinds('a = "b\\"c\nif', "c"), ['string:"b\\"c', "keyword:if"]);
  assert.deepEqual(kinds("x /* no end", "c"), ["comment:/* no end"]);
  assert.equal(parts("hello", "nolanguage"), null);
  assert.equal(parts("hello", ""), null);
});

test("the parts of any text are the text, in linear time", () => {
  const hostile = ['"', "'", "`", "/*", "\\", "#", "<", "0x", "1e", "'''", "-- ", "a_1", "\n", "é"];
  for (const { names } of FAMILIES) {
    for (const one of hostile) {
      const text = one.repeat(20_000);
      const found = parts(text, names[0]);
      assert.equal(found.map((part) => part.text).join(""), text);
    }
    const mixed = hostile.join("").repeat(2_000);
    assert.equal(
      parts(mixed, names[0])
        .map((part) => part.text)
        .join(""),
      mixed,
    );
  }
});
