// The tables of the dashboard: models, and what each key has used.

import { make } from "../core/dom.js";
import { bytes, count } from "../core/format.js";

function table(caption, heads, rows) {
  const head = heads.map((text) => make("th", { scope: "col" }, text));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  const made = make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...body),
  );
  return make(
    "div",
    { class: "table", tabindex: "0", role: "region", "aria-label": caption },
    made,
  );
}

// models: of /health.
export function modelTable(models) {
  const rows = models.map(
    ({ id, state, n_restarts: restarts, memory, n_threads: threads, kernels }) => {
      const name = make("span", {}, make("span", { class: `state ${state}` }), id);
      const parts = memory
        ? [memory.weights, memory.kv_cache, memory.compute].map(bytes)
        : ["", "", ""];
      return [name, state, String(restarts), ...parts, String(threads ?? ""), kernels ?? ""];
    },
  );
  const heads = [
    "Model",
    "State",
    "Restarts",
    "Weights",
    "KV cache",
    "Computing",
    "Threads",
    "Kernels",
  ];
  return table("Models", heads, rows);
}

// rows: of /usage, by key and model.
export function usageTable(rows) {
  const shown = rows.map((row) => [
    row.key || "(none)",
    row.model,
    ...[row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens].map(count),
  ]);
  const heads = ["Key", "Model", "Requests", "Prompt tokens", "Cached", "Generated tokens"];
  return table("Used in 30 days, by key and model", heads, shown);
}
