// Light, dark, or as the system has it.

import { say } from "./clipboard.js";
import { read, write } from "./prefs.js";

const THEMES = ["system", "light", "dark"];

export function applyTheme() {
  document.documentElement.dataset.theme = read("theme", "system");
}

export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(read("theme", "system")) + 1) % THEMES.length];
  write("theme", next);
  applyTheme();
  say(`Theme: ${next}.`);
}
