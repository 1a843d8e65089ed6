// All parameters of a kind of request, in groups, each with its explanation.

import { freshId, make, sentence } from "../core/dom.js";
import { fieldsOf } from "./document.js";
import { groupsOf } from "./groups.js";
import { kindOf, textOf, valueOf } from "./kinds.js";

// An element with the parameters. schema: the name of the request. values(): those that are set, an
// object that `onchange(values)` replaces.
export class Parameters {
  constructor({ schema, values, onchange }) {
    Object.assign(this, { schema, values, onchange });
    this.defaults = {};
    this.rows = new Map();
    this.place = make("div", { class: "groups" });
    const filter = make("input", {
      type: "search",
      placeholder: "Find a parameter",
      "aria-label": "Find a parameter",
      oninput: () => this.filter(filter.value.trim().toLowerCase()),
    });
    this.element = make("div", { class: "parameters" }, filter, this.place);
    this.ready = this.build();
  }

  async build() {
    try {
      const fields = await fieldsOf(this.schema);
      const groups = groupsOf(fields).map(([title, names], i) => {
        const rows = names.map((name) => this.row(name, fields[name]));
        return make("details", { open: i === 0 }, make("summary", {}, title), ...rows);
      });
      this.place.replaceChildren(...groups);
      this.show();
    } catch (error) {
      this.place.replaceChildren(make("p", { class: "error" }, error.message));
    }
  }

  row(name, schema) {
    const kind = kindOf(schema);
    const id = freshId(name.replaceAll(".", "-"));
    const control = controlOf(kind, { id, "aria-describedby": `${id}-note`, autocomplete: "off" });
    const problem = make("p", { class: "error", id: `${id}-problem`, hidden: true });
    const note = make(
      "p",
      { class: "hint", id: `${id}-note` },
      ...sentence(explained(schema, kind)),
    );
    control.addEventListener("change", () => this.changed(name, kind, control, problem));
    const label = make("label", { for: id }, make("code", {}, name));
    const row = make("div", { class: "parameter" }, label, control, note, problem);
    this.rows.set(name, {
      row,
      control,
      kind,
      text: `${name} ${schema.description}`.toLowerCase(),
    });
    return row;
  }

  changed(name, kind, control, problem) {
    try {
      const value = valueOf(kind, control.value);
      const { [name]: _, ...rest } = this.values();
      this.onchange(value === undefined ? rest : { ...rest, [name]: value });
      problem.hidden = true;
      control.removeAttribute("aria-invalid");
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      control.setAttribute("aria-invalid", "true");
    }
    this.mark();
  }

  // Shows the values as they are now.
  show() {
    const values = this.values();
    for (const [name, { control, kind }] of this.rows) control.value = textOf(kind, values[name]);
    this.showDefaults(this.defaults);
    this.mark();
  }

  // Shows what the model takes where nothing is set.
  showDefaults(defaults) {
    this.defaults = defaults;
    for (const [name, { control, kind }] of this.rows) {
      if ("placeholder" in control) control.placeholder = textOf(kind, defaults[name]);
    }
  }

  mark() {
    const values = this.values();
    for (const [name, { row }] of this.rows)
      row.classList.toggle("is-set", Object.hasOwn(values, name));
    for (const group of this.place.children) {
      const nSet = group.querySelectorAll(".is-set").length;
      group.dataset.set = nSet ? `${nSet} set` : "";
    }
  }

  filter(text) {
    for (const { row, text: about } of this.rows.values()) row.hidden = !about.includes(text);
    for (const group of this.place.children) {
      const isEmpty = !group.querySelector(".parameter:not([hidden])");
      group.hidden = isEmpty;
      if (text) group.open = !isEmpty;
    }
  }
}

function controlOf({ kind, minimum, maximum, values }, attributes) {
  if (kind === "number" || kind === "integer") {
    const step = kind === "integer" ? 1 : "any";
    const range = { min: minimum, max: maximum, step, inputmode: "decimal" };
    return make("input", { type: "number", ...range, ...attributes });
  }
  if (kind === "boolean" || kind === "choice") {
    const options = ["", ...(values ?? ["true", "false"])];
    const shown = options.map((value) => new Option(value === "" ? "as it is" : value, value));
    return make("select", attributes, ...shown);
  }
  if (kind === "text") return make("input", { type: "text", ...attributes });
  return make("textarea", { rows: 2, spellcheck: "false", ...attributes });
}

const LARGE = 1e9;

function explained(schema, { kind, minimum, maximum }) {
  const bounds = [];
  if (minimum !== undefined && minimum > -LARGE) bounds.push(`at least ${minimum}`);
  if (maximum !== undefined && maximum < LARGE) bounds.push(`at most ${maximum}`);
  if (kind === "lines") bounds.push("one on each line, `\\n` is a line break");
  if (kind === "json") bounds.push("as JSON");
  return `${schema.description ?? ""}${bounds.length ? ` (${bounds.join(", ")})` : ""}`;
}
