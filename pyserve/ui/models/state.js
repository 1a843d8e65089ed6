// The models of the server as they are now, asked for again while anyone looks.

import { getJson, postJson } from "../core/http.js";
import { read, write } from "../core/prefs.js";
import { Signal } from "../core/signal.js";

const CALM_MS = 15_000;
const LOST_MS = 3_000;
const BUSY_MS = 1_000;
const BUSY = new Set(["loading", "unloading"]);

// {list, error}: list is null until it is known.
export const models = new Signal({ list: null, error: null });

let timer = null;

// Asks now, and then from time to time.
export async function refreshModels() {
  clearTimeout(timer);
  try {
    const { data } = await getJson("models");
    models.set({ list: data, error: null });
  } catch (error) {
    models.set({ list: models.value.list, error });
  }
  const { list, error } = models.value;
  const isBusy = (list ?? []).some(({ meta }) => BUSY.has(meta.state));
  timer = setTimeout(again, isBusy ? BUSY_MS : error?.status === 0 ? LOST_MS : CALM_MS);
}

// Some other request found nobody there.
globalThis.addEventListener?.("server-lost", () => {
  if (models.value.error === null) setTimeout(refreshModels, BUSY_MS / 4);
});

function again() {
  if (!document.hidden) return refreshModels();
  document.addEventListener("visibilitychange", refreshModels, { once: true });
}

// Loads or unloads; for administrators. action: load or unload.
export async function changeModel(action, id) {
  const done = postJson(`models/${action}`, { model: id });
  setTimeout(refreshModels, BUSY_MS / 4);
  try {
    await done;
  } finally {
    await refreshModels();
  }
}

// The model to begin with: the last one that was chosen, else the first that chats.
export function usualModel() {
  const list = models.value.list ?? [];
  const last = list.find(({ id }) => id === read("model", ""));
  const chats = ({ meta }) => meta.capabilities.includes("chat") || meta.state !== "ready";
  return (last ?? list.find(chats) ?? list[0])?.id ?? "";
}

// The state of a model as it was last known.
export function stateOf(id) {
  return models.value.list?.find((model) => model.id === id)?.meta.state ?? "ready";
}

export function rememberModel(id) {
  write("model", id);
}
