// Presets: named settings, kept in the browser, and some to begin with.

import { all, put, write } from "../core/database.js";

const BUILT_IN = [
  { name: "Default", system: "", params: {} },
  { name: "Precise", system: "", params: { temperature: 0 } },
  { name: "Creative", system: "", params: { temperature: 1.1, min_p: 0.05 } },
  {
    name: "Short answers",
    system: "Answer in one or two short sentences.",
    params: { temperature: 0.3, max_tokens: 128 },
  },
];

// Everything of the settings that a preset has.
export function presetOf(name, { system, params, format, tools }) {
  return { name, system, params, format, tools };
}

export async function listPresets() {
  const own = await all("presets");
  const names = new Set(own.map(({ name }) => name));
  return [...BUILT_IN.filter(({ name }) => !names.has(name)), ...own];
}

export function isBuiltIn(preset) {
  return BUILT_IN.includes(preset);
}

export async function savePreset(preset) {
  await put("presets", preset);
}

export async function deletePreset(name) {
  await write(["presets"], ({ presets }) => presets.delete(name));
}
