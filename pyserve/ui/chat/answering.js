// Asks for an answer and follows it.

import { stream } from "../core/http.js";
import { AnswerReader } from "./reader.js";
import { TOLD } from "./request.js";

// Streams the answer to `body`; calls `update(reader)` at most once for each picture of the screen.
// Returns the reader and how it ended: {reader, firstMs, error}, error null if it was whole.
// An AbortError is no error: what is there stays.
export async function streamAnswer(path, body, signal, update) {
  const reader = new AnswerReader();
  const painter = new Painter(() => update(reader));
  const begin = performance.now();
  let firstMs = null;
  let error = null;
  try {
    for await (const { chunk, comment } of stream(path, { ...body, ...TOLD }, signal)) {
      if (comment) reader.comment(comment);
      else reader.chunk(chunk);
      if (reader.nDeltas > 0) firstMs ??= performance.now() - begin;
      painter.want();
    }
  } catch (failure) {
    if (failure.name === "AbortError") reader.finish = "stopped";
    else error = failure;
  }
  painter.end();
  update(reader);
  return { reader, firstMs, error };
}

class Painter {
  #paint;
  #frame = null;

  constructor(paint) {
    this.#paint = paint;
  }

  want() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#paint();
    });
  }

  end() {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
  }
}

// What an answer took, for its message: numbers only.
export function costOf({ reader, firstMs }) {
  const { usage, timings } = reader;
  return {
    nPrompt: usage?.prompt_tokens ?? null,
    nCached: timings?.cache_n ?? usage?.prompt_tokens_details?.cached_tokens ?? null,
    nTokens: usage?.completion_tokens ?? null,
    perSecond: timings?.predicted_per_second ?? null,
    firstMs,
  };
}
