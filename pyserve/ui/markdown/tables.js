// Tables of GitHub's Markdown. Pure.

const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MAX_COLUMNS = 64;

function cellsOf(line) {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(^|[^\\])\|$/, "$1");
  const cells = inner.split(/(?<!\\)\|/).slice(0, MAX_COLUMNS);
  return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
}

// Whether line `i` is the second line of a table, whose first is before it.
export function isDelimiterRow(lines, i) {
  if (i < 1 || i >= lines.length || !lines[i].includes("-")) return false;
  if (!lines[i - 1].includes("|") || !DELIMITER.test(lines[i])) return false;
  return cellsOf(lines[i]).length === cellsOf(lines[i - 1]).length;
}

function alignmentOf(cell) {
  if (!cell.startsWith(":")) return cell.endsWith(":") ? "end" : "";
  return cell.endsWith(":") ? "center" : "start";
}

// The table whose first line is `i`, and the line after it; null if there is none.
export function readTable(lines, i) {
  if (!isDelimiterRow(lines, i + 1)) return null;
  const head = cellsOf(lines[i]);
  const rows = [];
  let next = i + 2;
  for (; next < lines.length && lines[next].includes("|"); next += 1) {
    const cells = cellsOf(lines[next]);
    rows.push(head.map((_, column) => cells[column] ?? ""));
  }
  const align = cellsOf(lines[i + 1]).map(alignmentOf);
  return [{ type: "table", head, align, rows }, next];
}
