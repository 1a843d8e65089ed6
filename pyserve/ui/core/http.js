// Requests to the server: the key, errors with their message, streams of events.

import { readKey } from "./key.js";
import { API } from "./place.js";
import { EventReader } from "./sse.js";

// What the server refused. status: 0 if it could not be reached. body: of its answer, as data.
export class ApiError extends Error {
  constructor(message, status, body = null) {
    super(message);
    Object.assign(this, { status, body });
  }
}

// The error of a server that is not there; whoever shows its state looks again.
function lost(message) {
  globalThis.dispatchEvent(new Event("server-lost"));
  return new ApiError(message, 0);
}

async function errorOf(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    const { message, param, code } = body.error;
    const hint = HINTS[code] ?? (param ? ` (${param})` : "");
    return new ApiError(message + hint, response.status, body);
  } catch {
    return new ApiError(`the server answered ${response.status}`, response.status);
  }
}

// What a user of the page can do.
const HINTS = {
  context_length_exceeded: " Begin a new chat, delete turns, or set truncation to auto.",
};

async function ask(path, options = {}) {
  const key = readKey();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(API + path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw lost("the server cannot be reached");
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.status === 401) globalThis.dispatchEvent(new Event("key-wanted"));
  throw error;
}

function posted(body, signal) {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), signal };
}

export async function getJson(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function getText(path, signal) {
  return (await ask(path, { signal })).text();
}

export async function postJson(path, body, signal) {
  return (await ask(path, posted(body, signal))).json();
}

// Events of a streamed answer: {chunk} for data, {comment} for what is said meanwhile. Errors in
// the stream are thrown. Ends at [DONE].
export async function* stream(path, body, signal) {
  const response = await ask(path, posted({ ...body, stream: true }, signal));
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      for (const { data, comment } of events.push(decoder.decode(part.value, { stream: true }))) {
        if (data === "[DONE]") return;
        yield data ? { chunk: checked(JSON.parse(data)) } : { comment };
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw lost("the connection was lost");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function checked(chunk) {
  if (chunk.error) throw new ApiError(chunk.error.message, 200, chunk);
  return chunk;
}
