// The dashboard: metrics to numbers, lines and events; and the differences of edits.

import assert from "node:assert/strict";
import { test } from "node:test";

import { eventsBetween } from "../../../../pyserve/ui/dashboard/events.js";
import { History, PLOTS } from "../../../../pyserve/ui/dashboard/history.js";
import { keyLines, keyQuestion } from "../../../../pyserve/ui/dashboard/keys.js";
import {
  growth,
  parseMetrics,
  quantiles,
  reduced,
} from "../../../../pyserve/ui/dashboard/metrics.js";
import { pathOf, roundAbove } from "../../../../pyserve/ui/dashboard/scale.js";
import { diffWords } from "../../../../pyserve/ui/diff/words.js";

const PAGE = `# HELP x y
pyserve_tokens_generated_total{model="a\\"b"} 5.0
pyserve_time_to_first_token_seconds_bucket{endpoint="chat",le="0.1",model="m"} 2.0
pyserve_time_to_first_token_seconds_bucket{endpoint="edits",le="0.1",model="m"} 1.0
pyserve_time_to_first_token_seconds_bucket{endpoint="chat",le="+Inf",model="m"} 4.0
pyserve_requests_in_work 3.0
broken line
`;

test("a page of metrics is read", () => {
  const samples = parseMetrics(PAGE);
  assert.deepEqual(samples[0].labels, { model: 'a"b' });
  assert.equal(samples.at(-1).value, 3);
  const models = reduced(samples);
  assert.equal(models.get('a"b').generated, 5);
  assert.deepEqual(
    [...models.get("m").first],
    [
      [0.1, 3],
      [Infinity, 4],
    ],
  );
});

test("a counter that fell has begun anew", () => {
  assert.equal(growth(5, 7), 2);
  assert.equal(growth(5, 3), 3);
  assert.equal(growth(undefined, 3), 3);
});

test("quantiles are within their buckets", () => {
  const before = new Map([
    [1, 10],
    [2, 10],
    [Infinity, 10],
  ]);
  const after = new Map([
    [1, 10],
    [2, 20],
    [Infinity, 20],
  ]);
  assert.deepEqual(quantiles([[before, after]], [0.5, 1]), [1.5, 2]);
  assert.deepEqual(quantiles([[after, after]], [0.5]), [null]);
  assert.deepEqual(quantiles([[after, before]], [0.5]), [0.5]);
  assert.deepEqual(
    quantiles(
      [
        [
          undefined,
          new Map([
            [1, 0],
            [Infinity, 4],
          ]),
        ],
      ],
      [0.5],
    ),
    [1],
  );
});

function point(generated, more = {}) {
  return new Map([
    ["m", { generated, computed: 0, cached: 0, first: new Map(), gaps: new Map(), ...more }],
  ]);
}

test("the history has rates, and every plot has lines", () => {
  const history = new History();
  history.add(0, point(0));
  history.add(2, point(10, { cached: 3, computed: 1, running: 2 }));
  history.add(4, point(5));
  const lines = (title) =>
    history.lines(
      PLOTS.find((plot) => plot.title === title),
      "",
      300,
    ).lines;
  assert.deepEqual(lines("Generated tokens per second"), [{ label: "m", values: [5, 2.5] }]);
  assert.equal(lines("Prompt tokens from the cache")[0].values[0], 0.75);
  assert.deepEqual(lines("Requests")[0], { label: "running", values: [2, 0] });
  for (const plot of PLOTS) {
    for (const chosen of ["", "m", "gone"]) {
      const shown = history.lines(plot, chosen, 300);
      assert.ok(
        shown.lines.every(({ values }) => values.length === shown.times.length),
        plot.title,
      );
    }
  }
  assert.deepEqual(new History().lines(PLOTS[0], "", 300).lines, []);
});

test("scales are round, and lines have gaps", () => {
  assert.deepEqual([0, 0.3, 1, 7, 11, 200].map(roundAbove), [1, 0.5, 1, 10, 20, 200]);
  const box = { width: 10, height: 10, begin: 0, end: 3, top: 10 };
  assert.equal(pathOf([0, 1, 2, 3], [0, null, 10, 5], box), "M0.0 10.0h0M6.7 0.0h0L10.0 5.0");
});

test("states become events", () => {
  const model = {
    id: "m",
    state: "ready",
    n_restarts: 0,
    error: null,
    kernels: "amx",
    kernel_falls: [],
  };
  const texts = (change) =>
    eventsBetween([model], [{ ...model, ...change }]).map(({ text }) => text);
  assert.deepEqual(texts({}), []);
  assert.deepEqual(texts({ state: "unloaded" }), ["ready → unloaded"]);
  assert.deepEqual(texts({ n_restarts: 2, error: "it ended" }), [
    "was started again 2 times",
    "it ended",
  ]);
  assert.deepEqual(
    texts({ kernels: "avx2", kernel_falls: [{ kernels: "amx", reason: "SIGILL" }] }),
    ["computes with avx2 instead of amx", "cannot use amx: SIGILL"],
  );
  assert.equal(eventsBetween([model], [])[0].text, "is no longer served");
  assert.equal(eventsBetween(null, [model])[0].text, "is ready");
});

function textsOf(parts) {
  const of = (kinds) =>
    parts
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ text }) => text)
      .join("");
  return [of(["same", "gone"]), of(["same", "new"])];
}

test("a difference has both texts in it, and is short", () => {
  const cases = [
    ["", ""],
    ["a", ""],
    ["", "a"],
    ["a b c", "a x c"],
    ["one two", "two one"],
    ["ä ö", "ä ü"],
  ];
  for (const [a, b] of cases) assert.deepEqual(textsOf(diffWords(a, b)), [a, b]);
  assert.deepEqual(diffWords("a b c d", "a x c d"), [
    { kind: "same", text: "a " },
    { kind: "gone", text: "b" },
    { kind: "new", text: "x" },
    { kind: "same", text: " c d" },
  ]);
  let state = 1;
  const next = (n) => (state = (state * 48271) % 2147483647) % n;
  for (let i = 0; i < 300; i += 1) {
    const text = () => Array.from({ length: next(12) }, () => "abc "[next(4)]).join("");
    const [a, b] = [text(), text()];
    assert.deepEqual(textsOf(diffWords(a, b)), [a, b]);
  }
});

test("texts that have nothing in common are told apart as wholes", () => {
  const a = Array.from({ length: 4000 }, (_, i) => `a${i}`).join(" ");
  const b = Array.from({ length: 4000 }, (_, i) => `b${i}`).join("\n");
  assert.deepEqual(textsOf(diffWords(a, b)), [a, b]);
});

test("what keys used becomes lines by the hour, of one model or all", () => {
  const now = 1_800_003_600 + 100; // a hundred seconds after a full hour
  const hour = 1_800_003_600 - (1_800_003_600 % 3600);
  const row = (key, model, ago, n) => ({
    key,
    model,
    start_time: hour - ago * 3600,
    completion_tokens: n,
  });
  const rows = [
    row("a", "m", 0, 5),
    row("a", "n", 0, 7),
    row(null, "m", 23, 1),
    row("a", "m", 24, 99),
    ...Array.from({ length: 9 }, (_, i) => row(`k${i}`, "n", 1, 100 + i)),
  ];
  const all = keyLines(rows, "", now);
  assert.equal(all.times.length, 24);
  assert.equal(all.times.at(-1), hour);
  assert.equal(all.lines.length, 8);
  assert.equal(all.lines[0].label, "k8");
  assert.deepEqual([all.lines.at(-1).label, all.lines.at(-1).values.at(-1)], ["others", 12]);
  const one = keyLines(rows, "m", now);
  assert.deepEqual(
    one.lines.map(({ label, values }) => [label, values[0], values[23]]),
    [
      ["a", 0, 5],
      ["(none)", 1, 0],
    ],
  );
  assert.match(keyQuestion(now), /^usage\?group_by=hour,key,model&from=\d+$/);
  assert.deepEqual(keyLines([], "", now).lines, []);
});
