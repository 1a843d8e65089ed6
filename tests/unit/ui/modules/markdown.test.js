// Markdown and formulas: texts to trees, hostile ones in bounded time and depth.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseBlocks } from "../../../../pyserve/ui/markdown/blocks.js";
import { parseInline, plainOf } from "../../../../pyserve/ui/markdown/inline.js";
import { lettersOf } from "../../../../pyserve/ui/markdown/letters.js";
import { parseMath } from "../../../../pyserve/ui/markdown/math.js";

const types = (text) => parseBlocks(text).map(({ type }) => type);

test("blocks are told apart, and begin where they begin", () => {
  const text =
    "# A\nb\n\n- c\n- d\n\n```py\ne\n```\n> f\n\n---\n| g | h |\n|---|--:|\n| 1 | 2 |\n\n$$x$$\n";
  const blocks = parseBlocks(text);
  const expected = ["heading", "paragraph", "list", "code", "quote", "rule", "table", "math"];
  assert.deepEqual(
    blocks.map(({ type }) => type),
    expected,
  );
  assert.deepEqual(
    blocks.map(({ line }) => line),
    [0, 1, 3, 6, 9, 11, 12, 16],
  );
  assert.deepEqual(blocks[6].align, ["", "end"]);
  assert.deepEqual(blocks[6].rows, [["1", "2"]]);
});

test("a fence that is not closed goes to the end", () => {
  const [code, ...rest] = parseBlocks("```js\nlet a;\n\n# no heading");
  assert.deepEqual(rest, []);
  assert.equal(code.text, "let a;\n\n# no heading");
  assert.equal(code.isClosed, false);
});

test("a longer fence holds a shorter one", () => {
  const [code] = parseBlocks("````\n```\nx\n```\n````");
  assert.equal(code.text, "```\nx\n```");
});

test("lists nest by two columns, have tasks and code, and keep their numbers", () => {
  const [list] = parseBlocks("3. a\n  - b\n    ```\n    c\n    ```\n4. [x] d\n5. [ ] e");
  assert.equal(list.start, 3);
  assert.equal(list.items.length, 3);
  const [, inner] = list.items[0].children;
  assert.deepEqual(
    inner.items[0].children.map(({ type }) => type),
    ["paragraph", "code"],
  );
  assert.deepEqual(
    list.items.map(({ isDone }) => isDone),
    [null, true, false],
  );
});

test("what only looks like a block is text", () => {
  assert.deepEqual(types("1986. A year\n#hash\n| no table"), ["list"]);
  assert.deepEqual(types("text\n2. not a list"), ["paragraph"]);
  assert.deepEqual(types("<script>alert(1)</script>"), ["paragraph"]);
  assert.deepEqual(types("a | b\n-|-|-"), ["paragraph"]);
});

const inline = (text) => parseInline(text).map((node) => node.type ?? Object.keys(node)[0]);

test("emphasis, code, links and formulas within a line", () => {
  assert.deepEqual(inline("**a** _b_ ~~c~~ `d` [e](http://f) $g$"), [
    "strong",
    "text",
    "em",
    "text",
    "del",
    "text",
    "code",
    "text",
    "link",
    "text",
    "math",
  ]);
  const [strong] = parseInline("**a *b* c**");
  assert.deepEqual(
    strong.children.map((node) => node.type ?? "text"),
    ["text", "em", "text"],
  );
});

test("what is no emphasis, link or formula stays as it is", () => {
  for (const text of [
    "2 * 3 * 4",
    "snake_case_name",
    "$5 and $6",
    "a ** b",
    "[a] (b)",
    "`a",
    "\\*a\\*",
    "5$ x$y",
  ]) {
    const nodes = parseInline(text);
    assert.ok(
      nodes.every((node) => node.text !== undefined),
      text,
    );
    assert.equal(plainOf(nodes), text.replaceAll("\\*", "*"));
  }
});

test("TeX's parentheses are formulas", () => {
  assert.deepEqual(parseInline("\\(a*b*c\\)"), [{ math: "a*b*c", isDisplay: false }]);
  assert.deepEqual(parseInline("x \\[ y \\]")[1], { math: "y", isDisplay: true });
});

test("links end where they end", () => {
  const [link, rest] = parseInline("https://a.b/c_d_(e).");
  assert.equal(link.href, "https://a.b/c_d_(e)");
  assert.equal(rest.text, ".");
  assert.equal(parseInline("[a](http://b/(c))")[0].href, "http://b/(c)");
  assert.equal(parseInline("![alt *x*](http://b)")[0].alt, "alt x");
});

test("formulas become trees", () => {
  const { children } = parseMath(
    "\\frac{a}{b} + x_1^2 \\sqrt[3]{y} \\begin{pmatrix}a&b\\\\c&d\\end{pmatrix}",
  );
  assert.deepEqual(
    children.map(({ type }) => type),
    ["frac", "op", "script", "root", "table"],
  );
  assert.equal(children[4].rows.length, 2);
  assert.equal(parseMath("\\nonsense").children[0].text, "\\nonsense");
  assert.equal(parseMath("x^12").children[0].sup.text, "1");
  assert.equal(lettersOf("RZa1", "double-struck"), "ℝℤ𝕒𝟙");
});

test("a text that is cut anywhere is read", () => {
  const text =
    "# A\n\n- **b** `c`\n  1. $\\frac{x}{y}$\n\n| d | e |\n|---|---|\n| [f](g) | ![h](i) |\n\n```\n$$ j $$\n";
  for (let n = 0; n <= text.length; n += 1) {
    parseBlocks(text.slice(0, n));
    parseInline(text.slice(n));
    parseMath(text.slice(n));
  }
});

// Each of these took the square of its length, or the stack, in some reader of Markdown.
const HOSTILE = [
  "*",
  "a*",
  "*a ",
  "[",
  "[a](",
  "![",
  "`a``",
  "$a ",
  "_a*",
  "<http:",
  "\\(",
  "**a",
  "a**",
  "> ",
  "- ",
  "- a\n",
  "```\n",
  "$$\n",
  "|a\n",
  "1. a\n\n",
  "~~a",
  "\\[",
  "(",
  "    - a\n",
  "&",
  "<",
  "http://",
];
const HOSTILE_MATH = [
  "{",
  "\\frac",
  "x^",
  "\\sqrt{",
  "\\left(",
  "\\begin{matrix}",
  "\\hat",
  "_",
  "'",
  "\\text{",
];

function depthOf(value) {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test("hostile texts take bounded time and depth", () => {
  for (const part of HOSTILE) {
    const text = part.repeat(100_000 / part.length);
    assert.ok(depthOf(parseBlocks(text).slice(0, 50)) < 400, part);
    assert.ok(depthOf(parseInline(text).slice(0, 50)) < 400, part);
  }
  const open = `${"*a ".repeat(5000)}${"b* ".repeat(5000)}`;
  assert.ok(depthOf(parseInline(open)) < 400);
  for (const part of HOSTILE_MATH) {
    assert.ok(depthOf(parseMath(part.repeat(8000 / part.length))) < 400, part);
  }
});
