// The tokens of an answer, coloured by how probable each was; alternatives on hover and focus.

import { freshId, make } from "../core/dom.js";
import { percent } from "../core/format.js";

const SURE = [0.9, 0.5, 0.2, 0.05]; // the classes p0 (sure) to p4

export function probabilitiesElement(tokens) {
  const tip = make("div", { class: "tip", role: "tooltip", id: freshId("tip"), popover: "manual" });
  const spans = tokens.map((token) => tokenElement(token));
  const place = make(
    "div",
    { class: "tokens", role: "group", "aria-label": "Tokens" },
    ...spans,
    tip,
  );
  const show = (span) => {
    const token = tokens[spans.indexOf(span)];
    if (!token) return;
    tip.replaceChildren(...tipOf(token));
    tip.showPopover();
    putBeside(tip, span.getBoundingClientRect());
    span.setAttribute("aria-describedby", tip.id);
  };
  const hide = () => {
    if (tip.isConnected) tip.hidePopover();
  };
  for (const name of ["pointerover", "focusin"])
    place.addEventListener(name, ({ target }) => show(target));
  for (const name of ["pointerleave", "focusout"]) place.addEventListener(name, hide);
  place.addEventListener("keydown", (event) => move(event, spans));
  if (spans.length) spans[0].tabIndex = 0;
  return place;
}

const GAP_PX = 6;

// Puts the tip below the token, or above it where there is no room.
function putBeside(tip, { left, top, bottom }) {
  const isBelow = bottom + GAP_PX + tip.offsetHeight < innerHeight;
  const y = isBelow ? bottom + GAP_PX : top - GAP_PX - tip.offsetHeight;
  tip.style.left = `${Math.max(0, Math.min(left, innerWidth - tip.offsetWidth - GAP_PX))}px`;
  tip.style.top = `${Math.max(0, y)}px`;
}

function tokenElement({ text, p }) {
  const rank = SURE.findIndex((bound) => p >= bound);
  const kind = `token p${rank < 0 ? SURE.length : rank}`;
  return make("span", { class: kind, tabindex: "-1", role: "button" }, text);
}

function tipOf({ text, p, others }) {
  const row = ([token, q]) => {
    const bar = make("meter", { min: 0, max: 1, value: q, "aria-label": "Probability" });
    const name = make("code", {}, JSON.stringify(token));
    return make("div", { class: token === text ? "row chosen" : "row" }, name, bar, percent(q));
  };
  const isListed = others.some(([token]) => token === text);
  return [...(isListed ? [] : [[text, p]]), ...others].map(row);
}

function move(event, spans) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = spans.indexOf(document.activeElement);
  const next = spans[at + step];
  if (!step || at < 0 || !next) return;
  event.preventDefault();
  spans[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
