// Icons of 24 by 24, as paths of strokes.

import { make, svg } from "./dom.js";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M5 12l7-7 7 7",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 13l4 4L19 7",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  again: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
  branch: "M6 4v16M6 14c8 0 12-2 12-8M15 8l3-3 3 3",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  down: "M5 9l7 7 7-7",
  menu: "M4 6h16M4 12h16M4 18h16",
  sliders: "M4 7h9M17 7h3M4 17h3M11 17h9M13 4.5v5M9 14.5v5",
  close: "M6 6l12 12M18 6L6 18",
  clip: "M8 12l6-6a3.5 3.5 0 0 1 5 5l-8.5 8.5a5.5 5.5 0 0 1-8-8L11 3",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L21 21",
  key: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12l9-9M16 7l3 3",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
  chart: "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  go: "M7 4l12 8-12 8z",
  bars: "M5 20v-8M12 20V5M19 20v-5",
};

export function icon(name) {
  const path = svg("path", { d: PATHS[name] });
  return svg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, path);
}

// A button that shows an icon; `label` is its name for screen readers and its tooltip.
export function iconButton(name, label, onclick, attributes = {}) {
  const named = { type: "button", "aria-label": label, title: label, class: "quiet", onclick };
  return make("button", { ...named, ...attributes }, icon(name));
}
