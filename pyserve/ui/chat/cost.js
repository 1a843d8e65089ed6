// What an answer took, in words. Pure.

import { count, seconds } from "../core/format.js";

// cost: of `costOf`.
export function costText({ nPrompt, nCached, nTokens, perSecond, firstMs }) {
  const parts = [];
  if (nTokens !== null) parts.push(`${count(nTokens)} ${nTokens === 1 ? "token" : "tokens"}`);
  if (perSecond && nTokens > 1) parts.push(`${perSecond.toFixed(1)} tokens/s`);
  if (firstMs !== null) parts.push(`first token ${seconds(firstMs / 1000)}`);
  if (nPrompt !== null) {
    parts.push(`prompt ${count(nPrompt)}${nCached ? ` (${count(nCached)} cached)` : ""}`);
  }
  return parts.join(" · ");
}

// What is said of an answer that is being given. state: of its model.
export function progressText(reader, elapsedMs, state) {
  if (reader.nDeltas > 0) {
    const isThinking = reader.reasoning && !reader.content && reader.calls.length === 0;
    return isThinking ? "thinking …" : "answering …";
  }
  if (reader.progress && reader.progress.done < reader.progress.total) {
    const { done, total } = reader.progress;
    return `reading the prompt: ${count(done)} of ${count(total)} tokens`;
  }
  if (reader.waiting) return reader.waiting;
  const isShort = elapsedMs < 1000;
  if (state === "loading") {
    return isShort ? "loading the model …" : `loading the model: ${seconds(elapsedMs / 1000)}`;
  }
  return isShort ? "waiting …" : `waiting for ${seconds(elapsedMs / 1000)}`;
}

const ENDS = {
  length: "The limit of tokens ended the answer.",
  stopped: "Stopped.",
  unfinished: "The answer did not come to its end.",
  content_filter: "A filter ended the answer.",
};

export function endText(finish) {
  return ENDS[finish] ?? "";
}
