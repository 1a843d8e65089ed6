// Asks for an answer and follows it.

import { stream } from "../core/http.js";
import { refreshModels, stateOf } from "../models/state.js";
import { progressText } from "./cost.js";
import { AnswerReader } from "./reader.js";
import { TOLD } from "./request.js";

const TICK_MS = 1000;

// Streams the answer to `body`; calls `update(reader, progress)` at most once for each picture of the
// screen, and every second while nothing comes. progress: what is to be said of it.
// Returns the reader and how it ended: {reader, firstMs, error}, error null if it was whole.
// An AbortError is no error: what is there stays.
export async function streamAnswer(path, body, signal, update) {
  const reader = new AnswerReader();
  const begin = performance.now();
  const painter = new Painter(show);
  let firstMs = null;
  let error = null;
  setTimeout(() => reader.isSilent && refreshModels(), TICK_MS); // it may be loading its model
  const clock = setInterval(() => reader.isSilent && show(), TICK_MS);
  show();
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
  clearInterval(clock);
  painter.end();
  show();
  return { reader, firstMs, error };

  function show() {
    update(reader, progressText(reader, performance.now() - begin, stateOf(body.model)));
  }
}

const FRAME_MS = 16;
const REST = 3; // times what a slow painting took, until the next

// Paints with the screen; what takes longer than a picture of it is painted less often.
class Painter {
  #paint;
  #frame = null;
  #timer = null;
  #tookMs = 0;

  constructor(paint) {
    this.#paint = paint;
  }

  want() {
    if (this.#frame !== null || this.#timer !== null) return;
    if (this.#tookMs < FRAME_MS) this.#next();
    else this.#timer = setTimeout(() => this.#next(), this.#tookMs * REST);
  }

  #next() {
    this.#timer = null;
    this.#frame = requestAnimationFrame(() => {
      const begin = performance.now();
      this.#frame = null;
      this.#paint();
      this.#tookMs = performance.now() - begin;
    });
  }

  end() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
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
