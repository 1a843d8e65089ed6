// A request as curl and Python, to copy.

import { copyButton } from "./clipboard.js";
import { showDialog } from "./dialog.js";
import { make } from "./dom.js";
import { readKey } from "./key.js";
import { apiUrl } from "./place.js";
import { curlOf, pythonOf } from "./snippets.js";

// path: below /v1. The key itself is not shown.
export function showSnippets(path, body) {
  const hasKey = readKey() !== "";
  const parts = [
    ["curl", curlOf],
    ["Python", pythonOf],
  ].map(([title, make_]) => {
    const text = make_(apiUrl(), path, body, hasKey);
    const head = make(
      "div",
      { class: "code-head" },
      make("span", {}, title),
      copyButton(() => text),
    );
    return make("div", { class: "code" }, head, make("pre", { tabindex: "0" }, text));
  });
  const note = hasKey ? "Both read the key from the environment: PYSERVE_API_KEY." : "";
  showDialog("This request", [...parts, make("p", { class: "hint" }, note)], { isWide: true });
}
