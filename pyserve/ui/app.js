// The page: tabs by the address's fragment, each built when it is first shown; key, models, theme.

import { make } from "./core/dom.js";
import { iconButton } from "./core/icons.js";
import { readKey } from "./core/key.js";
import { applyTheme, nextTheme } from "./core/theme.js";
import { ChatView } from "./chat/view.js";
import { showModels } from "./models/dialog.js";
import { models, refreshModels } from "./models/state.js";
import { showKey } from "./settings/keydialog.js";

const VIEWS = {
  chat: async () => new ChatView(),
  complete: async () => new (await import("./views/complete.js")).CompleteView(),
  edit: async () => new (await import("./views/edit.js")).EditView(),
  compare: async () => new (await import("./views/compare.js")).CompareView(),
  dashboard: async () => new (await import("./dashboard/view.js")).DashboardView(),
  api: async () => new (await import("./reference/tab.js")).ReferenceView(),
};

const main = document.getElementById("main");
const built = new Map();
let shown = null;

// The tab, and what follows it: `#api/ChatRequest`.
function place() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return Object.hasOwn(VIEWS, name) ? [name, rest.join("/")] : ["chat", ""];
}

async function show() {
  const [name, rest] = place();
  for (const link of document.querySelectorAll("#tabs a")) {
    const isCurrent = link.hash === `#${name}`;
    if (isCurrent) link.scrollIntoView({ block: "nearest", inline: "nearest" });
    link.toggleAttribute("aria-current", isCurrent);
    if (isCurrent) link.setAttribute("aria-current", "page");
  }
  if (!built.has(name)) built.set(name, VIEWS[name]());
  const view = await built.get(name);
  if (place()[0] !== name) return;
  if (shown !== view) {
    shown?.leave?.();
    main.replaceChildren(view.element);
    document.title = name === "chat" ? "pyserve" : `pyserve: ${name}`;
    shown = view;
  }
  view.enter?.(rest);
}

function modelsButton() {
  const dot = make("span", { class: "state" });
  const label = make("span", { class: "label" }, "Models");
  const made = make("button", { type: "button", class: "quiet", onclick: showModels }, dot, label);
  models.watch(({ list, error }) => {
    const states = (list ?? []).map(({ meta }) => meta.state);
    const order = ["failed", "loading", "ready", "unloaded"];
    const state = error ? "failed" : (order.find((one) => states.includes(one)) ?? "unloaded");
    dot.className = `state ${state}`;
    const nReady = states.filter((one) => one === "ready").length;
    const text = error ? "not known" : `${nReady} of ${states.length} loaded`;
    made.title = `Models: ${text}`;
    made.setAttribute("aria-label", `Models: ${text}`);
  });
  return made;
}

function addTools() {
  const key = iconButton("key", "API key", () => showKey(refreshModels));
  const theme = iconButton("sun", "Light, dark or as the system", nextTheme);
  document.getElementById("tools").append(modelsButton(), key, theme);
}

let refused = null;

// Asks once for each key that is refused: what asks by itself does not ask people again.
function askForKey() {
  if (refused === readKey()) return;
  refused = readKey();
  showKey(refreshModels, "This server wants an API key.");
}

applyTheme();
addTools();
refreshModels();
show();
addEventListener("hashchange", show);
addEventListener("key-wanted", askForKey);
