// The tab of edits: a text, what is to be done with it, and what has changed.

import { formatFields } from "../chat/request.js";
import { copyButton } from "../core/clipboard.js";
import { button, field, make } from "../core/dom.js";
import { count, seconds } from "../core/format.js";
import { postJson } from "../core/http.js";
import { iconButton } from "../core/icons.js";
import { Kept } from "../core/kept.js";
import { showSnippets } from "../core/snippetdialog.js";
import { diffWords } from "../diff/words.js";
import { keptModelSelect } from "../models/select.js";
import { Options } from "../settings/options.js";
import { Runner } from "./runner.js";

const PATH = "edits";
const INITIAL = {
  model: "",
  input: "",
  instruction: "",
  params: {},
  format: { kind: "text", text: "" },
};
const TAGS = { same: "span", gone: "del", new: "ins" };

export class EditView {
  constructor() {
    this.kept = new Kept("edit", INITIAL);
    this.result = "";
    const { input, instruction } = this.kept.value;
    this.input = make("textarea", { rows: 10, value: input });
    this.input.addEventListener("input", () => this.kept.change({ input: this.input.value }));
    this.instruction = make("input", { value: instruction, placeholder: "Fix the spelling." });
    this.instruction.addEventListener("input", () =>
      this.kept.change({ instruction: this.instruction.value }),
    );
    this.runner = new Runner("Edit", (signal) => this.run(signal));
    this.model = keptModelSelect(this.kept);
    this.build();
  }

  build() {
    const code = iconButton("code", "Copy as curl or Python", () =>
      showSnippets(PATH, this.body()),
    );
    this.after = make("div", { class: "changes", hidden: true });
    const work = make(
      "section",
      { class: "work", "aria-label": "Edit" },
      make("div", { class: "row" }, this.model.element),
      field("Text", this.input),
      field("Instruction", this.instruction),
      make("div", { class: "row" }, this.runner.element, code),
      this.runner.problem,
      this.after,
    );
    this.runner.listen(work);
    const options = new Options({ schema: "EditRequest", kept: this.kept, model: this.model });
    const side = make("aside", { class: "side", "aria-label": "Settings" }, options.element);
    this.element = make("div", { class: "view bench" }, work, side);
  }

  body() {
    const { input, instruction, params, format } = this.kept.value;
    return { model: this.model.chosen, input, instruction, ...params, ...formatFields(format) };
  }

  async run(signal) {
    const { input } = this.kept.value;
    const begin = performance.now();
    this.runner.status.textContent = "editing …";
    const { choices, usage } = await postJson(PATH, this.body(), signal);
    this.result = choices[0].text;
    this.runner.status.textContent = `${count(usage.completion_tokens)} tokens in ${seconds((performance.now() - begin) / 1000)}`;
    this.show(diffWords(input, this.result));
  }

  show(parts) {
    const texts = (kinds) => parts.filter(({ kind }) => kinds.includes(kind)).map(partElement);
    const isSame = parts.every(({ kind }) => kind === "same");
    const use = button("Use as the text", () => {
      this.input.value = this.result;
      this.kept.change({ input: this.result });
      this.after.hidden = true;
      this.input.focus();
    });
    this.after.replaceChildren(
      make("h3", {}, "Changes"),
      make("p", { class: "hint" }, isSame ? "Nothing was changed." : ""),
      make(
        "div",
        { class: "diff", tabindex: "0", role: "region", "aria-label": "Changes" },
        ...texts(["same", "gone", "new"]),
      ),
      make("h3", {}, "Result"),
      make(
        "div",
        { class: "output", tabindex: "0", role: "region", "aria-label": "Result" },
        this.result,
      ),
      make(
        "div",
        { class: "row" },
        use,
        copyButton(() => this.result),
      ),
    );
    this.after.hidden = false;
  }
}

function partElement({ kind, text }) {
  return make(TAGS[kind], {}, text);
}
