// The settings of a conversation: presets, system prompt, parameters, format, tools.

import { say } from "../core/clipboard.js";
import { button, field, make } from "../core/dom.js";
import { Parameters } from "../settings/parameters.js";
import { deletePreset, isBuiltIn, listPresets, presetOf, savePreset } from "../settings/presets.js";
import { FormatChoice } from "../settings/format.js";
import { parsedJson } from "../settings/kinds.js";

const TOOL = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

// settings(): those of the conversation; onchange(settings) replaces them.
export class Panel {
  constructor({ settings, onchange }) {
    Object.assign(this, { settings, onchange });
    this.system = make("textarea", { rows: 3, placeholder: "None" });
    this.system.addEventListener("input", () => this.change({ system: this.system.value }));
    this.probabilities = make("input", { type: "checkbox" });
    this.probabilities.addEventListener("change", () => {
      this.change({ hasProbabilities: this.probabilities.checked });
    });
    this.format = new FormatChoice({
      value: () => this.settings().format,
      onchange: (format) => this.change({ format }),
    });
    this.parameters = new Parameters({
      schema: "ChatRequest",
      values: () => this.settings().params,
      onchange: (params) => this.change({ params }),
    });
    this.element = make(
      "aside",
      { class: "panel", "aria-label": "Settings" },
      this.presets(),
      field("System prompt", this.system),
      part("Parameters", this.parameters.element),
      part("Format of answers", this.format.element),
      part("Tools", this.tools()),
      part(
        "Token probabilities",
        make(
          "label",
          { class: "check" },
          this.probabilities,
          "Ask for the probability of each token",
        ),
      ),
    );
  }

  change(some) {
    this.onchange({ ...this.settings(), ...some });
  }

  // Shows the settings as they are now.
  show() {
    const { system, tools, hasProbabilities } = this.settings();
    this.system.value = system;
    this.probabilities.checked = hasProbabilities;
    this.toolText.value = tools.text;
    this.choice.value = tools.choice;
    this.format.show();
    this.parameters.show();
    this.checkTools();
  }

  tools() {
    this.toolText = make("textarea", {
      rows: 6,
      spellcheck: "false",
      class: "code",
      "aria-label": "Tools as JSON",
    });
    this.problem = make("p", { class: "error", hidden: true });
    this.choice = make(
      "select",
      {},
      ...["auto", "required", "none"].map((name) => new Option(name)),
    );
    const change = () => {
      this.change({ tools: { text: this.toolText.value, choice: this.choice.value } });
      this.checkTools();
    };
    this.toolText.addEventListener("input", change);
    this.choice.addEventListener("change", change);
    const example = button(
      "Insert an example",
      () => {
        this.toolText.value = JSON.stringify(TOOL, null, 2);
        change();
      },
      { class: "quiet" },
    );
    const note = "A JSON list of functions. When the model calls one, you give its result by hand.";
    return make(
      "div",
      {},
      make("p", { class: "hint" }, note),
      this.toolText,
      this.problem,
      example,
      field("Tool choice", this.choice),
    );
  }

  checkTools() {
    let problem = "";
    try {
      const text = this.toolText.value;
      if (text.trim() && !Array.isArray(parsedJson(text))) problem = "This must be a list.";
    } catch (error) {
      problem = error.message;
    }
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
    this.toolText.setAttribute("aria-invalid", String(problem !== ""));
  }

  presets() {
    this.chosen = make("select", { "aria-label": "Preset" });
    this.chosen.addEventListener("change", () => this.apply());
    const name = make("input", { placeholder: "Name", "aria-label": "Name of a new preset" });
    const save = async () => {
      if (!name.value.trim()) return name.focus();
      await savePreset(presetOf(name.value.trim(), this.settings()));
      say(`Preset ${name.value.trim()} saved.`);
      name.value = "";
      return this.listPresets();
    };
    const remove = async () => {
      await deletePreset(this.chosen.value);
      this.listPresets();
    };
    this.remove = button("Delete", remove, { class: "quiet" });
    this.listPresets();
    const row = make(
      "div",
      { class: "row" },
      name,
      button("Save as preset", save, { class: "quiet" }),
      this.remove,
    );
    return make("div", { class: "presets" }, field("Preset", this.chosen), row);
  }

  async listPresets() {
    this.known = await listPresets();
    const options = this.known.map(({ name }) => new Option(name));
    this.chosen.replaceChildren(new Option("Choose …", ""), ...options);
    this.remove.hidden = true;
  }

  apply() {
    const preset = this.known.find(({ name }) => name === this.chosen.value);
    this.remove.hidden = !preset || isBuiltIn(preset);
    if (!preset) return;
    const { name: _, ...some } = preset;
    const known = Object.entries(some).filter(([, value]) => value !== undefined);
    this.change(Object.fromEntries(known));
    this.show();
  }
}

function part(title, ...children) {
  return make("section", {}, make("h3", {}, title), ...children);
}
