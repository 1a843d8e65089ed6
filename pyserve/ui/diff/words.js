// What has changed between two texts, word by word. Pure. After Myers, "An O(ND) Difference
// Algorithm and Its Variations" (1986).

const WORD = /\s+|[\p{L}\p{N}_]+|[^]/gu;
const MOST_CHANGES = 1500; // more: all between the common begin and end is one change

// Parts {kind, text} in order. kind: same, gone or new.
export function diffWords(before, after) {
  const a = before.match(WORD) ?? [];
  const b = after.match(WORD) ?? [];
  let begin = 0;
  while (begin < a.length && begin < b.length && a[begin] === b[begin]) begin += 1;
  let end = 0;
  const most = Math.min(a.length, b.length) - begin;
  while (end < most && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const middle = changes(a.slice(begin, a.length - end), b.slice(begin, b.length - end));
  return joined([
    ...a.slice(0, begin).map((text) => ({ kind: "same", text })),
    ...middle,
    ...a.slice(a.length - end).map((text) => ({ kind: "same", text })),
  ]);
}

function changes(a, b) {
  const trace = traceOf(a, b);
  if (!trace) {
    return [
      ...a.map((text) => ({ kind: "gone", text })),
      ...b.map((text) => ({ kind: "new", text })),
    ];
  }
  return pathOf(a, b, trace);
}

// The furthest points of each number of changes; null if there are too many changes.
function traceOf(a, b) {
  const most = Math.min(a.length + b.length, MOST_CHANGES);
  let furthest = new Map([[1, 0]]);
  const trace = [];
  for (let d = 0; d <= most; d += 1) {
    trace.push(furthest);
    furthest = new Map(furthest);
    for (let k = -d; k <= d; k += 2) {
      let x = stepsDown(furthest, k, d) ? furthest.get(k + 1) : furthest.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function stepsDown(furthest, k, d) {
  return k === -d || (k !== d && furthest.get(k - 1) < furthest.get(k + 1));
}

function pathOf(a, b, trace) {
  const parts = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const k = x - y;
    const before = stepsDown(trace[d], k, d) ? k + 1 : k - 1;
    const fromX = trace[d].get(before);
    const fromY = fromX - before;
    while (x > Math.max(fromX, 0) && y > Math.max(fromY, 0) && a[x - 1] === b[y - 1]) {
      x -= 1;
      y -= 1;
      parts.push({ kind: "same", text: a[x] });
    }
    if (d > 0)
      parts.push(fromX === x ? { kind: "new", text: b[fromY] } : { kind: "gone", text: a[fromX] });
    x = fromX;
    y = fromY;
  }
  return parts.reverse();
}

// Neighbours of one kind as one part.
function joined(parts) {
  const out = [];
  for (const { kind, text } of parts) {
    if (out.at(-1)?.kind === kind) out.at(-1).text += text;
    else out.push({ kind, text });
  }
  return out;
}
