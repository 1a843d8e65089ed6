// The body of a chat's request, of settings and messages. Pure.

import { parsedJson } from "../settings/kinds.js";

// Settings of a new conversation. format.kind: text, json, schema, regex or grammar.
export function newSettings() {
  return {
    model: "",
    system: "",
    params: {},
    format: { kind: "text", text: "" },
    tools: { text: "", choice: "auto" },
    hasProbabilities: false,
  };
}

const ALTERNATIVES = 5;
const MOST_MESSAGES = 2000; // of a longer conversation, the newest

// The body, without what only says how it is streamed. Throws an Error if a text of the settings
// is no JSON.
export function bodyOf(settings, messages) {
  const system = settings.system.trim();
  return {
    model: settings.model,
    messages: [
      ...(system ? [{ role: "system", content: system }] : []),
      ...newest(messages.filter(isSaid)).map(messageOf),
    ],
    ...settings.params,
    ...formatFields(settings.format),
    ...toolFields(settings.tools),
    ...(settings.hasProbabilities && { logprobs: true, top_logprobs: ALTERNATIVES }),
  };
}

// What the page asks for beside it: numbers that it shows.
export const TOLD = {
  stream_options: { include_usage: true },
  timings: true,
  return_progress: true,
};

// So many that the server takes them, from a user's turn on.
function newest(messages) {
  if (messages.length <= MOST_MESSAGES) return messages;
  const last = messages.slice(-MOST_MESSAGES);
  return last.slice(
    Math.max(
      0,
      last.findIndex(({ role }) => role === "user"),
    ),
  );
}

function isSaid({ role, content, calls }) {
  return role !== "assistant" || content !== "" || (calls ?? []).length > 0;
}

function messageOf({ role, content, files = [], calls = [], callId }) {
  if (role === "tool") return { role, tool_call_id: callId, content };
  if (role === "user") return { role, content: withFiles(content, files) };
  const asked = calls.map(({ id, name, arguments: text }) => {
    return { id, type: "function", function: { name, arguments: text } };
  });
  return { role, content, ...(asked.length && { tool_calls: asked }) };
}

// A text with files before it, each in a fence that it does not close.
export function withFiles(text, files) {
  const parts = files.map(({ name, text: inner }) => {
    const longest = (inner.match(/`{3,}/g) ?? []).reduce((n, run) => Math.max(n, run.length), 2);
    const fence = "`".repeat(longest + 1);
    return `File ${JSON.stringify(name)}:\n${fence}\n${inner.replace(/\n$/, "")}\n${fence}\n\n`;
  });
  return parts.join("") + text;
}

// The fields that hold an answer to a format.
export function formatFields({ kind, text }) {
  if (kind === "json") return { response_format: { type: "json_object" } };
  if (kind === "regex") return { regex: text };
  if (kind === "grammar") return { grammar: text };
  if (kind !== "schema") return {};
  const schema = named(() => parsedJson(text || "{}"), "JSON schema");
  return { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } };
}

function toolFields({ text, choice }) {
  if (text.trim() === "") return {};
  const tools = named(() => parsedJson(text), "Tools");
  if (!Array.isArray(tools)) throw new Error("Tools: this must be a list.");
  if (tools.length === 0) return {};
  return { tools: tools.map(toolOf), tool_choice: choice };
}

// A tool may also be written as its function alone.
function toolOf(tool) {
  return tool.type || !tool.name ? tool : { type: "function", function: tool };
}

function named(work, what) {
  try {
    return work();
  } catch (error) {
    throw new Error(`${what}: ${error.message}`, { cause: error });
  }
}
