// Conversations as a file, and out of one. Pure: files of others are checked, never trusted.

const FORMAT = "pyserve-conversations";
const ROLES = new Set(["user", "assistant", "tool", "system"]);
const MAX_MESSAGES = 200_000;

// The text of a file. entries: [{conversation, messages}].
export function exported(entries) {
  return JSON.stringify({ format: FORMAT, version: 1, conversations: entries }, null, 1);
}

// The entries of a file, with fresh ids by `freshId()`. Throws an Error that says what is wrong.
export function imported(text, freshId, settings) {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new Error(`the file is no JSON: ${error.message}`, { cause: error });
  }
  if (data?.format !== FORMAT || !Array.isArray(data.conversations)) {
    throw new Error("the file has no conversations of this page");
  }
  return data.conversations.map((entry, i) => entryOf(entry, i, freshId, settings));
}

function entryOf({ conversation, messages } = {}, i, freshId, settings) {
  if (typeof conversation !== "object" || !Array.isArray(messages)) {
    throw new Error(`conversation ${i + 1} is damaged`);
  }
  if (messages.length > MAX_MESSAGES) {
    throw new Error(
      `conversation ${i + 1} has ${messages.length} messages, at most ${MAX_MESSAGES}`,
    );
  }
  const id = freshId();
  const ids = new Map(messages.map((message) => [message?.id, freshId()]));
  const kept = {
    id,
    title: textOr(conversation.title, "Imported"),
    created: numberOr(conversation.created, 0),
    updated: numberOr(conversation.updated, 0),
    leaf: ids.get(conversation.leaf) ?? ids.get(messages.at(-1)?.id) ?? null,
    settings: settingsOf(conversation.settings, settings),
  };
  return {
    conversation: kept,
    messages: messages.map((message) => messageOf(message, id, ids, i)),
  };
}

function messageOf(message, conversation, ids, i) {
  if (!ROLES.has(message?.role) || typeof message.content !== "string") {
    throw new Error(`conversation ${i + 1} has a damaged message`);
  }
  const { role, content } = message;
  const kept = {
    id: ids.get(message.id),
    conversation,
    parent: ids.get(message.parent) ?? null,
    role,
    content,
    created: numberOr(message.created, 0),
  };
  for (const name of ["reasoning", "model", "finish", "callId"]) {
    if (typeof message[name] === "string") kept[name] = message[name];
  }
  if (Array.isArray(message.files)) kept.files = message.files.filter(isFile).map(fileOf);
  if (Array.isArray(message.calls)) kept.calls = message.calls.filter(isCall).map(callOf);
  return kept;
}

const isFile = (file) => typeof file?.name === "string" && typeof file.text === "string";
const fileOf = ({ name, text }) => ({ name, text });
const isCall = (call) => typeof call?.name === "string" && typeof call.arguments === "string";
const callOf = ({ id, name, arguments: text }) => ({ id: textOr(id, ""), name, arguments: text });

function settingsOf(given, usual) {
  const { model, system, params, format, tools } = given ?? {};
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  return {
    ...usual,
    model: textOr(model, usual.model),
    system: textOr(system, usual.system),
    params: isObject(params) ? params : usual.params,
    format: isObject(format) && typeof format.text === "string" ? format : usual.format,
    tools: isObject(tools) && typeof tools.text === "string" ? tools : usual.tools,
  };
}

const textOr = (value, other) => (typeof value === "string" ? value : other);
const numberOr = (value, other) => (Number.isFinite(value) ? value : other);
