// Conversations in the browser's database. A message is a record of its own: a turn of a long
// conversation writes that turn alone.

import { all, allOf, deleteAllOf, each, get, put, write } from "../core/database.js";

const BOTH = ["conversations", "messages"];
const TITLE_CHARS = 60;
const OTHERS = globalThis.BroadcastChannel && new BroadcastChannel("pyserve conversations");

// Calls `see(id)` after another tab of this browser has changed a conversation.
export function watchOthers(see) {
  OTHERS?.addEventListener("message", ({ data }) => see(data));
}

// Tells the other tabs, when it is done.
export async function tellOthers(id, done) {
  await done;
  OTHERS?.postMessage(id);
}

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let lastMs = 0;

// Now, and later than any time that was given before: messages are sorted by it.
export function nowMs() {
  lastMs = Math.max(Date.now(), lastMs + 0.001);
  return lastMs;
}

export function newConversation(settings) {
  const now = nowMs();
  return { id: newId(), title: "", created: now, updated: now, leaf: null, settings };
}

export function newMessage(conversation, parent, role, content, more = {}) {
  const created = nowMs();
  return { id: newId(), conversation: conversation.id, parent, role, content, created, ...more };
}

// A title of the first words.
export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line || "Without words";
}

// The newest first.
export async function listConversations() {
  return (await all("conversations")).sort((a, b) => b.updated - a.updated);
}

export function readConversation(id) {
  return get("conversations", id);
}

export function readMessages(id) {
  return allOf("messages", "conversation", id);
}

export function saveConversation(conversation) {
  return tellOthers(conversation.id, put("conversations", conversation));
}

export function saveMessage(message) {
  return put("messages", message);
}

// Both in one transaction: neither is there without the other.
export function saveTurn(conversation, messages) {
  const done = write(BOTH, (stores) => {
    stores.conversations.put(conversation);
    messages.forEach((message) => stores.messages.put(message));
  });
  return tellOthers(conversation.id, done);
}

export function deleteMessages(conversation, ids) {
  const done = write(BOTH, (stores) => {
    stores.conversations.put(conversation);
    ids.forEach((id) => stores.messages.delete(id));
  });
  return tellOthers(conversation.id, done);
}

export function deleteConversation(id) {
  const done = write(BOTH, (stores) => {
    stores.conversations.delete(id);
    deleteAllOf(stores.messages, "conversation", id);
  });
  return tellOthers(id, done);
}

// The ids of the conversations that have the text in their title or in a message.
export async function searchConversations(text) {
  const wanted = text.toLowerCase();
  const found = new Set();
  for (const { id, title } of await all("conversations")) {
    if (title.toLowerCase().includes(wanted)) found.add(id);
  }
  await each("messages", ({ conversation, content }) => {
    if (!found.has(conversation) && content.toLowerCase().includes(wanted)) found.add(conversation);
  });
  return found;
}
