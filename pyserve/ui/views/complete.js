// The tab of plain texts: a prompt that goes on, or a gap that is filled in.

import { streamAnswer, costOf } from "../chat/answering.js";
import { costText, endText } from "../chat/cost.js";
import { probabilitiesElement } from "../chat/probabilities.js";
import { formatFields } from "../chat/request.js";
import { copyButton } from "../core/clipboard.js";
import { button, field, make } from "../core/dom.js";
import { iconButton } from "../core/icons.js";
import { Kept } from "../core/kept.js";
import { showSnippets } from "../core/snippetdialog.js";
import { keptModelSelect } from "../models/select.js";
import { Options } from "../settings/options.js";
import { Runner } from "./runner.js";

const PATH = "completions";
const ALTERNATIVES = 5;
const INITIAL = {
  model: "",
  text: "",
  mode: "end",
  params: { max_tokens: 128 },
  format: { kind: "text", text: "" },
  hasProbabilities: false,
};

export class CompleteView {
  constructor() {
    this.kept = new Kept("complete", INITIAL);
    this.said = "";
    this.text = make("textarea", {
      rows: 12,
      class: "code",
      spellcheck: "false",
      value: this.kept.value.text,
    });
    this.text.addEventListener("input", () => this.kept.change({ text: this.text.value }));
    this.output = make("div", {
      class: "output",
      tabindex: "0",
      role: "region",
      "aria-label": "Completion",
    });
    this.runner = new Runner("Complete", (signal) => this.run(signal));
    this.model = keptModelSelect(this.kept);
    this.build();
  }

  build() {
    const modes = [
      ["end", "Continue at the end"],
      ["cursor", "Fill in at the cursor"],
    ];
    this.mode = make(
      "select",
      { "aria-label": "Where" },
      ...modes.map(([value, label]) => new Option(label, value)),
    );
    this.mode.value = this.kept.value.mode;
    this.mode.addEventListener("change", () => this.kept.change({ mode: this.mode.value }));
    this.accept = button("Insert it", () => this.insert(), { hidden: true });
    const copy = copyButton(() => this.said, "Copy the completion", true);
    const code = iconButton("code", "Copy as curl or Python", () =>
      showSnippets(PATH, this.body()),
    );
    const bar = make("div", { class: "row" }, this.model.element, this.mode);
    const foot = make("div", { class: "row" }, this.runner.element, this.accept, copy, code);
    const note = "The model continues this text as it is, without a chat template.";
    const work = make(
      "section",
      { class: "work", "aria-label": "Prompt and completion" },
      bar,
      field("Prompt", this.text, note),
      foot,
      this.runner.problem,
      this.output,
    );
    this.runner.listen(work);
    const options = new Options({
      schema: "CompletionRequest",
      kept: this.kept,
      model: this.model,
      before: [this.probabilities()],
    });
    const side = make("aside", { class: "side", "aria-label": "Settings" }, options.element);
    this.element = make("div", { class: "view bench" }, work, side);
  }

  probabilities() {
    const box = make("input", { type: "checkbox", checked: this.kept.value.hasProbabilities });
    box.addEventListener("change", () => this.kept.change({ hasProbabilities: box.checked }));
    return make("label", { class: "check" }, box, "Token probabilities");
  }

  body() {
    const { text, mode, params, format, hasProbabilities } = this.kept.value;
    const at = mode === "cursor" ? this.text.selectionStart : text.length;
    const until = mode === "cursor" ? this.text.selectionEnd : text.length;
    return {
      model: this.model.chosen,
      prompt: text.slice(0, at),
      ...(mode === "cursor" && { suffix: text.slice(until) }),
      ...params,
      ...formatFields(format),
      ...(hasProbabilities && { logprobs: ALTERNATIVES }),
    };
  }

  async run(signal) {
    const { mode, text } = this.kept.value;
    this.range =
      mode === "cursor"
        ? [this.text.selectionStart, this.text.selectionEnd]
        : [text.length, text.length];
    this.said = "";
    this.accept.hidden = true;
    this.output.replaceChildren();
    const done = await streamAnswer(PATH, this.body(), signal, (reader, progress) => {
      this.said = reader.content;
      this.output.textContent = reader.content;
      this.runner.status.textContent = progress;
    });
    const { reader, error } = done;
    if (reader.tokens.length) this.output.replaceChildren(probabilitiesElement(reader.tokens));
    this.accept.hidden = this.said === "";
    this.runner.status.textContent = `${costText(costOf(done))} ${endText(reader.finish)}`;
    if (error) throw error;
  }

  insert() {
    const [begin, end] = this.range;
    this.text.setRangeText(this.said, begin, end, "end");
    this.kept.change({ text: this.text.value });
    this.accept.hidden = true;
    this.output.replaceChildren();
    this.text.focus();
  }
}
