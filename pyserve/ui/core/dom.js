// Elements without HTML: every string becomes text or an attribute that the caller names.

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected"]);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") element.addEventListener(name.slice("on".length), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// An HTML element. attributes: functions listen (`onclick`), true is an empty attribute, false and
// undefined are none.
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function mathml(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(MATHML, tag), attributes, children);
}

export function find(id) {
  return document.getElementById(id);
}

// A sentence whose parts in backticks are code, as nodes.
export function sentence(text) {
  const parts = (text ?? "").split("`");
  return parts.map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

let lastId = 0;

// An id that no other element has.
export function freshId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

export function button(label, onclick, attributes = {}) {
  return make("button", { type: "button", onclick, ...attributes }, label);
}

// A label above a control; `note` explains it.
export function field(label, control, note = "") {
  control.id ||= freshId("field");
  const parts = [make("label", { for: control.id }, label), control];
  if (note) {
    const hint = make("p", { class: "hint", id: `${control.id}-note` }, ...sentence(note));
    control.setAttribute("aria-describedby", hint.id);
    parts.push(hint);
  }
  return make("div", { class: "field" }, ...parts);
}
