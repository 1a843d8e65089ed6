// Markdown into blocks: headings, lists, tables, code, quotes, formulas, paragraphs. Pure.
//
// HTML is text here like any other. Lists are read as models write them: what is indented by two
// columns belongs to the item, also where CommonMark wants three.

import { isDelimiterRow, readTable } from "./tables.js";

const MAX_DEPTH = 24;
const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)(.*?)(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( {0,3})([-+*]|\d{1,9}[.)])(?:( +)(?=\S)|[ \t]*$)/;
const MATH_OPEN = /^ {0,3}(\$\$|\\\[)/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const CLOSERS = { $$: "$$", "\\[": "\\]" };

const isBlank = (line) => line.trim() === "";
const indentOf = (line) => line.length - line.trimStart().length;

// The blocks of a text. Each says on which line it begins: `line`.
export function parseBlocks(text) {
  return parseLines(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

function parseLines(lines, depth) {
  if (depth > MAX_DEPTH) return [{ type: "paragraph", text: lines.join("\n"), line: 0 }];
  const blocks = [];
  for (let i = 0; i < lines.length;) {
    if (isBlank(lines[i])) {
      i += 1;
      continue;
    }
    const [block, next] = readBlock(lines, i, depth);
    blocks.push({ ...block, line: i });
    i = next;
  }
  return blocks;
}

function readBlock(lines, i, depth) {
  const read = [readFence, readMath, readHeading, readRule, readQuote, readList, readIndented];
  for (const each of read) {
    const found = each(lines, i, depth);
    if (found) return found;
  }
  return readTable(lines, i) ?? readParagraph(lines, i);
}

function readFence(lines, i) {
  const open = FENCE.exec(lines[i]);
  if (!open) return null;
  const [, indent, fence, info] = open;
  const end = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}[ \\t]*$`);
  const strip = new RegExp(`^ {0,${indent.length}}`);
  const body = [];
  let next = i + 1;
  while (next < lines.length && !end.test(lines[next])) {
    body.push(lines[next].replace(strip, ""));
    next += 1;
  }
  const isClosed = next < lines.length;
  return [{ type: "code", info: info.trim(), text: body.join("\n"), isClosed }, next + 1];
}

function readMath(lines, i) {
  const open = MATH_OPEN.exec(lines[i]);
  if (!open) return null;
  const closer = CLOSERS[open[1]];
  const body = [];
  let line = lines[i].slice(open[0].length);
  for (let next = i + 1; ; next += 1) {
    const end = line.indexOf(closer);
    if (end >= 0) {
      if (!isBlank(line.slice(end + closer.length))) return null;
      body.push(line.slice(0, end));
      return [{ type: "math", text: body.join("\n").trim() }, next];
    }
    if (next >= lines.length || (isBlank(line) && isBlank(lines[next]))) return null;
    body.push(line);
    line = lines[next];
  }
}

function readHeading(lines, i) {
  const found = HEADING.exec(lines[i]);
  return found && [{ type: "heading", level: found[1].length, text: found[2] }, i + 1];
}

function readRule(lines, i) {
  return RULE.test(lines[i]) ? [{ type: "rule" }, i + 1] : null;
}

function readIndented(lines, i) {
  const isCode = (line) => line.startsWith("    ");
  if (!isCode(lines[i])) return null;
  let next = i;
  while (next < lines.length && (isCode(lines[next]) || isBlank(lines[next]))) next += 1;
  while (isBlank(lines[next - 1])) next -= 1;
  const text = lines
    .slice(i, next)
    .map((line) => line.slice(4))
    .join("\n");
  return [{ type: "code", info: "", text, isClosed: true }, next];
}

// Whether the line begins a block, so that it is no continuation of a paragraph.
function interrupts(line) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  if (MATH_OPEN.test(line)) return true;
  const marker = MARKER.exec(line);
  return (
    marker !== null &&
    marker[3] !== undefined &&
    (!/\d/.test(marker[2]) || /^1[.)]/.test(marker[2]))
  );
}

function readQuote(lines, i, depth) {
  if (!QUOTE.test(lines[i])) return null;
  const body = [];
  let next = i;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    const isLazy = !isBlank(line) && !interrupts(line) && !isBlank(body.at(-1) ?? "");
    if (!QUOTE.test(line) && !isLazy) break;
    body.push(line.replace(QUOTE, ""));
  }
  return [{ type: "quote", children: parseLines(body, depth + 1) }, next];
}

function readParagraph(lines, i) {
  const body = [lines[i].trimStart()];
  let next = i + 1;
  for (; next < lines.length && !isBlank(lines[next]); next += 1) {
    const underline = UNDERLINE.exec(lines[next]);
    if (underline) {
      const level = underline[1][0] === "=" ? 1 : 2;
      return [{ type: "heading", level, text: body.join("\n").trim() }, next + 1];
    }
    if (interrupts(lines[next]) || isDelimiterRow(lines, next + 1)) break;
    body.push(lines[next].trimStart());
  }
  return [{ type: "paragraph", text: body.join("\n").trimEnd() }, next];
}

function readList(lines, i, depth) {
  const first = MARKER.exec(lines[i]);
  if (!first) return null;
  const kind = first[2].at(-1);
  const items = [];
  let isLoose = false;
  let next = i;
  while (next < lines.length) {
    const marker = MARKER.exec(lines[next]);
    if (!marker || marker[2].at(-1) !== kind || RULE.test(lines[next])) break;
    const [body, after, endsBlank] = readItem(lines, next, marker);
    items.push(itemOf(body, depth));
    isLoose ||= items.at(-1).isLoose || (endsBlank && isItem(lines, after, kind));
    next = after;
  }
  const isOrdered = /\d/.test(first[2]);
  const start = isOrdered ? Number.parseInt(first[2], 10) : 1;
  return [{ type: "list", isOrdered, start, isLoose, items }, next];
}

function isItem(lines, i, kind) {
  const marker = i < lines.length ? MARKER.exec(lines[i]) : null;
  return marker !== null && marker[2].at(-1) === kind && !RULE.test(lines[i]);
}

// The lines of an item, without their indent; the line after them; whether blank ones end it.
function readItem(lines, i, marker) {
  const begin = marker[1].length;
  const width = begin + marker[2].length + Math.min(marker[3]?.length ?? 1, 4);
  const body = [];
  let strip = width; // what all its lines are indented by, if they are by less
  let fence = fenceAfter(lines[i].slice(marker[0].length), null);
  let next = i + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    const indent = indentOf(line);
    const isIn = isBlank(line) || indent >= begin + 2;
    const isLazy = !isBlank(lines[next - 1]) && !interrupts(line) && !MARKER.test(line) && !fence;
    if (!isIn && !isLazy) break;
    if (!isBlank(line) && indent >= begin + 2) strip = Math.min(strip, indent);
    body.push(line);
    fence = fenceAfter(line.slice(Math.min(indent, width)), fence);
  }
  const first = lines[i].slice(marker[0].length - Math.max((marker[3]?.length ?? 0) - 4, 0));
  const all = [first, ...body.map((line) => line.slice(Math.min(indentOf(line), strip)))];
  let nBlank = 0;
  while (nBlank < all.length - 1 && isBlank(all.at(-1 - nBlank))) nBlank += 1;
  return [nBlank ? all.slice(0, -nBlank) : all, next, nBlank > 0];
}

// The fence that is open after a line, where `fence` was before it.
function fenceAfter(line, fence) {
  const found = FENCE.exec(line);
  if (!found) return fence;
  if (fence === null) return found[2];
  const isClosing = found[2][0] === fence[0] && found[2].length >= fence.length && !found[3];
  return isClosing ? null : fence;
}

function itemOf(body, depth) {
  const task = /^\[([ xX])\] /.exec(body[0]);
  const lines = task ? [body[0].slice(task[0].length), ...body.slice(1)] : body;
  const children = parseLines(lines, depth + 1);
  const isLoose = children.slice(1).some(({ line }) => isBlank(lines[line - 1]));
  return { children, isLoose, isDone: task ? task[1] !== " " : null };
}
