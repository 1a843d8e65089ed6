// The format that answers are held to: none, JSON, a JSON Schema, a regular expression, a grammar.

import { field, make } from "../core/dom.js";
import { parsedJson } from "./kinds.js";

const KINDS = [
  ["text", "Free text"],
  ["json", "Any JSON object"],
  ["schema", "JSON by a schema"],
  ["regex", "A regular expression"],
  ["grammar", "A grammar (GBNF)"],
];
const EXAMPLES = {
  schema: JSON.stringify(
    {
      type: "object",
      properties: { answer: { type: "string" }, confidence: { type: "number" } },
      required: ["answer", "confidence"],
      additionalProperties: false,
    },
    null,
    2,
  ),
  regex: "(yes|no)",
  grammar: 'root ::= "yes" | "no"',
};

// value(): {kind, text}; onchange replaces it.
export class FormatChoice {
  constructor({ value, onchange }) {
    Object.assign(this, { value, onchange });
    this.kind = make("select", {}, ...KINDS.map(([kind, label]) => new Option(label, kind)));
    this.text = make("textarea", {
      rows: 6,
      spellcheck: "false",
      class: "code",
      "aria-label": "The format",
    });
    this.problem = make("p", { class: "error", hidden: true });
    this.kind.addEventListener("change", () => {
      this.text.value = EXAMPLES[this.kind.value] ?? "";
      this.changed();
    });
    this.text.addEventListener("input", () => this.changed());
    this.element = make("div", {}, field("Format", this.kind), this.text, this.problem);
  }

  changed() {
    this.onchange({ kind: this.kind.value, text: this.text.value });
    this.check();
  }

  show() {
    const { kind, text } = this.value();
    this.kind.value = kind;
    this.text.value = text;
    this.check();
  }

  check() {
    this.text.hidden = !Object.hasOwn(EXAMPLES, this.kind.value);
    let problem = "";
    try {
      if (this.kind.value === "schema") parsedJson(this.text.value || "{}");
    } catch (error) {
      problem = error.message;
    }
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
  }
}
