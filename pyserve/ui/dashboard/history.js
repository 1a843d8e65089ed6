// What the server has done in the last minutes, and the lines of the plots. Pure.

import { growth, quantiles } from "./metrics.js";

const KEPT_S = 3600;
const WINDOW_S = 30; // of percentiles and shares
const PARTS = [0.5, 0.95, 0.99];

export class History {
  points = []; // {at, models}; at: seconds, models: of `reduced`

  add(at, models) {
    this.points.push({ at, models });
    while (this.points[0].at < at - KEPT_S) this.points.shift();
  }

  get models() {
    return [...(this.points.at(-1)?.models.keys() ?? [])];
  }

  // {times, lines} of the last `spanS` seconds. chosen: a model, or "" for all.
  lines(make, chosen, spanS) {
    const end = this.points.at(-1)?.at ?? 0;
    const first = Math.max(
      1,
      this.points.findIndex(({ at }) => at >= end - spanS),
    );
    const shown = this.points.slice(first);
    const labels = make.labels ?? (chosen ? [chosen] : this.models);
    const rows = shown.map((_, i) => make.values(this, first + i, chosen, labels));
    return {
      times: shown.map(({ at }) => at),
      lines: labels.map((label, k) => ({ label, values: rows.map((row) => row[k]) })),
    };
  }

  // The numbers of the chosen model, or the list of those of all.
  of(i, chosen) {
    const { models } = this.points[i];
    if (chosen) return models.has(chosen) ? [models.get(chosen)] : [];
    return [...models.values()];
  }

  total(i, chosen, name) {
    return this.of(i, chosen).reduce((all, one) => all + (one[name] ?? 0), 0);
  }

  rate(i, model, name) {
    const [before, after] = [this.points[i - 1], this.points[i]];
    const grown = growth(before.models.get(model)?.[name], after.models.get(model)?.[name]);
    return grown / Math.max(after.at - before.at, 0.001);
  }

  // The point that the window of point `i` begins with.
  windowBefore(i) {
    let k = i - 1;
    while (k > 0 && this.points[k].at > this.points[i].at - WINDOW_S) k -= 1;
    return k;
  }

  quantiles(i, chosen, name) {
    const { models } = this.points[i];
    const k = this.windowBefore(i);
    const wanted = chosen ? [chosen] : [...models.keys()];
    const pairs = wanted
      .filter((model) => models.has(model))
      .map((model) => [this.points[k].models.get(model)?.[name], models.get(model)[name]]);
    return quantiles(pairs, PARTS);
  }
}

const rates = (name) => (history, i, _chosen, labels) =>
  labels.map((model) => history.rate(i, model, name));
const levels = (name) => (history, i, _chosen, labels) => {
  return labels.map((model) => history.points[i].models.get(model)?.[name] ?? null);
};

// The share of prompt tokens that were read from the cache.
function hits(history, i, _chosen, labels) {
  const [before, after] = [history.points[history.windowBefore(i)], history.points[i]];
  return labels.map((model) => {
    const grown = (name) =>
      growth(before.models.get(model)?.[name], after.models.get(model)?.[name]);
    const all = grown("cached") + grown("computed");
    return all > 0 ? grown("cached") / all : null;
  });
}

const PERCENTILES = ["p50", "p95", "p99"];

// The plots: their title, the format of their numbers, and their lines.
export const PLOTS = [
  { title: "Generated tokens per second", format: "number", values: rates("generated") },
  { title: "Prompt tokens per second", format: "number", values: rates("computed") },
  {
    title: "Requests",
    format: "number",
    labels: ["running", "waiting"],
    values: (history, i, chosen) =>
      ["running", "waiting"].map((name) => history.total(i, chosen, name)),
  },
  {
    title: "Time to the first token",
    format: "seconds",
    labels: PERCENTILES,
    values: (history, i, chosen) => history.quantiles(i, chosen, "first"),
  },
  {
    title: "Time between tokens",
    format: "seconds",
    labels: PERCENTILES,
    values: (history, i, chosen) => history.quantiles(i, chosen, "gaps"),
  },
  { title: "Prompt tokens from the cache", format: "share", values: hits },
  { title: "Memory of engines", format: "bytes", values: levels("memory") },
  {
    title: "KV cache, in tokens",
    format: "number",
    labels: ["used", "room"],
    values: (history, i, chosen) => [
      history.total(i, chosen, "cellsUsed"),
      history.total(i, chosen, "cells"),
    ],
  },
];
