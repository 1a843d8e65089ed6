// Copying, also where the page came over plain HTTP from another machine.

import { make } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 1500;

// place: an element that the user has just clicked, so that it is in no page behind a dialog.
async function write(text, place) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", { value: text, class: "hidden" });
  place.after(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("the browser does not allow it");
}

// A button that copies what `text()` gives. label: its name; isIcon: shows an icon instead of it.
export function copyButton(text, label = "Copy", isIcon = false) {
  const face = () => (isIcon ? icon("copy") : label);
  const named = isIcon ? { "aria-label": label, title: label } : {};
  const made = make("button", { type: "button", class: "quiet copy", ...named }, face());
  made.addEventListener("click", async () => {
    try {
      await write(text(), made);
      made.replaceChildren(isIcon ? icon("check") : "Copied");
      say("Copied.");
    } catch (error) {
      say(`Not copied: ${error.message}`);
    }
    setTimeout(() => made.replaceChildren(face()), SHOWN_MS);
  });
  return made;
}

// Tells screen readers alone.
export function announce(text) {
  const place = document.getElementById("announced");
  if (place) place.textContent = text;
}

// Tells screen readers, and shows it briefly.
export function say(text) {
  const place = document.getElementById("said");
  if (!place) return;
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.replaceChildren(), 2 * SHOWN_MS);
}
