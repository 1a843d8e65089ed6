// Chats with a served model over the same API that everybody uses. Nothing is stored.
"use strict";

const find = (id) => document.getElementById(id);
let messages = []; // the conversation, as the API takes it
let running = null; // the AbortController of the answer that is being given

function headers() {
  const key = find("key").value;
  return { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
}

// The message of an error response, whatever its body is.
async function errorOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

async function loadModels() {
  const response = await fetch("models", { headers: headers() });
  if (!response.ok) throw new Error(await errorOf(response));
  const { data } = await response.json();
  const options = data.map(({ id, meta }) => {
    return new Option(meta.state === "ready" ? id : `${id} (${meta.state})`, id);
  });
  find("model").replaceChildren(...options);
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

// Adds what was said to the log and returns its text's element; `who` is for screen readers.
function addTurn(kind, who, text) {
  const said = element("span", "", text);
  find("log").append(element("p", `turn ${kind}`, element("span", "hidden", who), said));
  scrollDown();
  return said;
}

// Follow the answer, unless the reader has scrolled away from it.
function scrollDown() {
  const log = find("log");
  log.scrollTop = log.scrollHeight;
}

function isAtEnd() {
  const log = find("log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 48;
}

// The data of server-sent events, as they come.
async function* events(response) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of chunks(response.body)) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith("data: ")) yield block.slice("data: ".length);
    }
  }
}

// Not every browser can iterate over a stream.
async function* chunks(stream) {
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

function requestBody() {
  const system = find("system").value.trim();
  const temperature = find("temperature").value;
  const maxTokens = find("max-tokens").value;
  return {
    model: find("model").value,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature && { temperature: Number(temperature) }),
    ...(maxTokens && { max_completion_tokens: Number(maxTokens) }),
  };
}

// How long the first token took, and how fast the others came.
class Clock {
  constructor() {
    this.begin = performance.now();
    this.first = null;
    this.tokens = 0;
  }

  tick() {
    this.first ??= performance.now();
    this.tokens += 1;
    find("status").textContent = this.report(this.tokens);
  }

  report(tokens) {
    if (this.first === null) return "";
    const seconds = (performance.now() - this.first) / 1000;
    const wait = `first token after ${((this.first - this.begin) / 1000).toFixed(2)} s`;
    if (tokens < 2 || seconds <= 0) return wait;
    return `${tokens} tokens, ${((tokens - 1) / seconds).toFixed(1)} tokens/s, ${wait}`;
  }
}

// Shows the answer as it comes; returns its text. `end.reason` says why it ended.
async function stream(turn, signal, end) {
  const clock = new Clock();
  const body = JSON.stringify(requestBody());
  const options = { method: "POST", headers: headers(), body, signal };
  const response = await fetch("chat/completions", options);
  if (!response.ok) throw new Error(await errorOf(response));
  for await (const data of events(response)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    const [choice] = chunk.choices;
    end.reason = choice?.finish_reason ?? end.reason;
    if (choice?.delta.reasoning_content) {
      clock.tick();
      find("status").textContent = "thinking …";
    }
    if (choice?.delta.content) {
      const follows = isAtEnd();
      turn.textContent += choice.delta.content;
      clock.tick();
      if (follows) scrollDown();
    }
    if (chunk.usage) find("status").textContent = clock.report(chunk.usage.completion_tokens);
  }
}

function setRunning(controller) {
  running = controller;
  find("send").hidden = controller !== null;
  find("stop").hidden = controller === null;
}

async function answer() {
  const turn = addTurn("assistant", "Answer: ", "");
  const end = { reason: null };
  const controller = new AbortController();
  setRunning(controller);
  find("status").textContent = "…";
  try {
    await stream(turn, controller.signal, end);
    if (end.reason === "length") addTurn("note", "", "The limit of tokens ended the answer.");
  } catch (error) {
    if (error.name === "AbortError") return turn.textContent;
    addTurn("error", "Error: ", error.message);
    find("status").textContent = "";
  } finally {
    if (running === controller) setRunning(null);
    if (!turn.textContent) turn.parentElement.remove();
  }
  return turn.textContent;
}

async function send(event) {
  event.preventDefault();
  const text = find("text").value;
  if (running || !text.trim()) return;
  find("text").value = "";
  addTurn("user", "You: ", text);
  const conversation = messages;
  conversation.push({ role: "user", content: text });
  const said = await answer();
  if (said) conversation.push({ role: "assistant", content: said });
  else conversation.pop(); // as if it had not been asked
}

function newChat() {
  running?.abort();
  messages = [];
  find("log").replaceChildren();
  find("status").textContent = "";
  find("text").focus();
}

function keyPressed(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("form").requestSubmit();
}

async function showModels() {
  try {
    await loadModels();
    find("status").textContent = "";
  } catch (error) {
    find("status").textContent = `The models could not be listed: ${error.message}`;
  }
}

find("form").addEventListener("submit", send);
find("settings").addEventListener("submit", (event) => event.preventDefault());
find("stop").addEventListener("click", () => running?.abort());
find("new").addEventListener("click", newChat);
find("text").addEventListener("keydown", keyPressed);
find("key").addEventListener("change", showModels);
showModels();
