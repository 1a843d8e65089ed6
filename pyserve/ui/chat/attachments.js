// Text files that go with a message: chosen, dropped or pasted.

import { make } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { iconButton } from "../core/icons.js";

const MAX_BYTES = 1024 * 1024;

// The text of a file. Throws an Error that says why it cannot be used.
export async function readText(file) {
  if (file.size > MAX_BYTES) {
    throw new Error(`${file.name} has ${bytes(file.size)}, at most ${bytes(MAX_BYTES)}`);
  }
  const data = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    if (!text.includes("\0")) return text;
  } catch {
    // Told below.
  }
  throw new Error(`${file.name} is no text file`);
}

// The files of a message that is being written.
export class Attachments {
  files = [];

  constructor(onproblem) {
    this.onproblem = onproblem;
    this.element = make("ul", { class: "chips", "aria-label": "Attached files" });
    this.input = make("input", { type: "file", multiple: true, class: "hidden", tabindex: "-1" });
    this.input.setAttribute("aria-label", "Files to attach");
    this.input.addEventListener("change", async () => {
      await this.add(this.input.files);
      this.input.value = "";
    });
  }

  async add(files) {
    for (const file of [...files]) {
      try {
        this.files.push({ name: file.name, text: await readText(file) });
      } catch (error) {
        this.onproblem(error.message);
      }
    }
    this.show();
  }

  // Gives the files away.
  take() {
    const { files } = this;
    this.files = [];
    this.show();
    return files;
  }

  show() {
    const chips = this.files.map((file) => {
      const remove = iconButton("close", `Remove ${file.name}`, () => {
        this.files = this.files.filter((one) => one !== file);
        this.show();
      });
      return make("li", {}, file.name, remove);
    });
    this.element.replaceChildren(...chips);
  }
}
