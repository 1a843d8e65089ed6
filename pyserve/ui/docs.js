// The page of the document alone, at /docs.

import { applyTheme } from "./core/theme.js";
import { Reference } from "./reference/page.js";

const reference = new Reference("#");
const goTo = () => reference.goTo(location.hash.slice(1));

applyTheme();
document.getElementById("main").replaceChildren(reference.element);
addEventListener("hashchange", goTo);
goTo();
