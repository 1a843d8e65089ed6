// The metrics page as numbers: Prometheus' text format, and what the plots are made of. Pure.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

// [{name, labels, value}] of a page.
export function parseMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line[0] === "#" ? null : LINE.exec(line);
    if (!found || Number.isNaN(numberOf(found[3]))) continue;
    const pairs = [...(found[2] ?? "").matchAll(LABEL)];
    const labels = Object.fromEntries(pairs.map(([, name, value]) => [name, plain(value)]));
    samples.push({ name: found[1], labels, value: numberOf(found[3]) });
  }
  return samples;
}

const ESCAPES = { n: "\n" };
const plain = (value) => value.replace(/\\(.)/g, (_, char) => ESCAPES[char] ?? char);
const numberOf = (text) =>
  text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);

const NUMBERS = {
  pyserve_tokens_generated_total: "generated",
  pyserve_prompt_tokens_computed_total: "computed",
  pyserve_cached_tokens_total: "cached",
  pyserve_requests_running: "running",
  pyserve_requests_waiting: "waiting",
  pyserve_resident_bytes: "memory",
  pyserve_kv_cells: "cells",
  pyserve_kv_cells_used: "cellsUsed",
  pyserve_requests_finished_total: "finished",
  pyserve_requests_failed_total: "failed",
};
const HISTOGRAMS = {
  pyserve_time_to_first_token_seconds_bucket: "first",
  pyserve_inter_token_seconds_bucket: "gaps",
};

// What the plots need of a page, by model: numbers, and histograms as Maps from bound to count.
export function reduced(samples) {
  const models = new Map();
  const of = (model) => {
    if (!models.has(model)) models.set(model, { first: new Map(), gaps: new Map() });
    return models.get(model);
  };
  for (const { name, labels, value } of samples) {
    if (labels.model === undefined) continue;
    if (NUMBERS[name]) of(labels.model)[NUMBERS[name]] = value;
    if (!HISTOGRAMS[name]) continue;
    const histogram = of(labels.model)[HISTOGRAMS[name]];
    const bound = numberOf(labels.le);
    histogram.set(bound, (histogram.get(bound) ?? 0) + value);
  }
  return models;
}

// How much a counter has grown; one that fell was begun anew.
export function growth(before = 0, after = 0) {
  return after >= before ? after - before : after;
}

function grownBuckets(before, after) {
  const isNew = [...after].some(([bound, n]) => n < (before?.get(bound) ?? 0));
  return new Map(
    [...after].map(([bound, n]) => [bound, isNew ? n : n - (before?.get(bound) ?? 0)]),
  );
}

// Histograms of several, as one.
function sum(histograms) {
  const all = new Map();
  for (const one of histograms) {
    for (const [bound, n] of one) all.set(bound, (all.get(bound) ?? 0) + n);
  }
  return all;
}

// The quantiles of what came between two times, null without anything. pairs: [before, after] of
// each model. Within a bucket the values are taken to be spread evenly.
export function quantiles(pairs, parts) {
  const buckets = [...sum(pairs.map(([a, b]) => grownBuckets(a, b)))].sort(([a], [b]) => a - b);
  const total = buckets.at(-1)?.[1] ?? 0;
  return parts.map((part) => (total > 0 ? quantile(buckets, part * total) : null));
}

function quantile(buckets, rank) {
  const i = buckets.findIndex(([, n]) => n >= rank);
  const [bound, n] = buckets[i];
  const [low, nLow] = i > 0 ? buckets[i - 1] : [0, 0];
  if (bound === Infinity) return low;
  return low + ((bound - low) * (rank - nLow)) / (n - nLow);
}
