// The conversations of this browser: searched, named, exported, imported, deleted.

import { say } from "../core/clipboard.js";
import { confirmed } from "../core/dialog.js";
import { button, make } from "../core/dom.js";
import { when } from "../core/format.js";
import { icon, iconButton } from "../core/icons.js";
import {
  deleteConversation,
  listConversations,
  newId,
  readMessages,
  saveConversation,
  saveTurn,
  searchConversations,
} from "./conversations.js";
import { download } from "./download.js";
import { newSettings } from "./request.js";
import { exported, imported } from "./transfer.js";

const SEARCH_MS = 150;

// onopen(id), onnew(), ongone(id): the open one was deleted; current(): the id of the open one.
export class Sidebar {
  constructor(actions) {
    Object.assign(this, actions);
    this.list = make("ul", { class: "conversations" });
    this.search = make("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search conversations",
    });
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.show(), SEARCH_MS);
    });
    this.file = make("input", { type: "file", accept: ".json", class: "hidden", tabindex: "-1" });
    this.file.setAttribute("aria-label", "Import conversations");
    this.file.addEventListener("change", () => this.take());
    const fresh = make(
      "button",
      { type: "button", class: "primary", onclick: this.onnew },
      icon("plus"),
      "New chat",
    );
    const foot = make(
      "div",
      { class: "row" },
      button("Import", () => this.file.click(), { class: "quiet" }),
      button("Export all", () => this.exportAll(), { class: "quiet" }),
    );
    this.element = make(
      "nav",
      { class: "sidebar", "aria-label": "Conversations" },
      fresh,
      this.search,
      this.list,
      foot,
      this.file,
    );
  }

  async show() {
    try {
      await this.showFound(this.search.value.trim());
    } catch (error) {
      const text = `Conversations cannot be kept in this browser: ${error?.message ?? error}`;
      this.list.replaceChildren(make("li", { class: "error" }, text));
    }
  }

  async showFound(text) {
    const [all, found] = await Promise.all([
      listConversations(),
      text ? searchConversations(text) : null,
    ]);
    const shown = found ? all.filter(({ id }) => found.has(id)) : all;
    const rows = shown.map((conversation) => this.row(conversation));
    const empty = make(
      "li",
      { class: "hint" },
      text ? "Nothing found." : "Conversations stay in this browser.",
    );
    this.list.replaceChildren(...(rows.length ? rows : [empty]));
  }

  row(conversation) {
    const { id, title, updated } = conversation;
    const open = make(
      "button",
      {
        type: "button",
        class: "open",
        onclick: () => this.onopen(id),
        "aria-current": id === this.current() ? "true" : null,
      },
      make("span", { class: "title" }, title || "New chat"),
      make("small", {}, when(updated)),
    );
    const name = title || "New chat";
    const tools = make(
      "span",
      { class: "tools" },
      iconButton("edit", `Rename ${name}`, () => this.rename(conversation, open)),
      iconButton("down", `Export ${name}`, () => this.exportSome([conversation])),
      iconButton("trash", `Delete ${name}`, () => this.remove(conversation)),
    );
    return make("li", {}, open, tools);
  }

  rename(conversation, open) {
    const input = make("input", {
      value: conversation.title,
      "aria-label": "Name of the conversation",
    });
    let isOver = false;
    const end = async (isKept) => {
      if (isOver) return;
      isOver = true;
      const title = input.value.trim();
      if (isKept && title) {
        await saveConversation({ ...conversation, title });
        this.onrenamed(conversation.id, title);
      }
      this.show();
    };
    input.addEventListener("keydown", ({ key }) => {
      if (key === "Enter" || key === "Escape") end(key === "Enter");
    });
    input.addEventListener("blur", () => end(true));
    open.replaceWith(input);
    input.select();
  }

  async remove({ id, title }) {
    if (!(await confirmed(`Delete “${title || "New chat"}” from this browser?`, "Delete"))) return;
    await deleteConversation(id);
    if (id === this.current()) this.ongone();
    this.show();
  }

  async exportAll() {
    this.exportSome(await listConversations());
  }

  async exportSome(conversations) {
    const entries = await Promise.all(
      conversations.map(async (conversation) => {
        return { conversation, messages: await readMessages(conversation.id) };
      }),
    );
    download("pyserve-conversations.json", exported(entries), "application/json");
  }

  async take() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    try {
      const entries = imported(await file.text(), newId, newSettings());
      for (const { conversation, messages } of entries) await saveTurn(conversation, messages);
      say(`${entries.length} ${entries.length === 1 ? "conversation" : "conversations"} imported.`);
      this.show();
    } catch (error) {
      say(`Not imported: ${error.message}`);
    }
  }
}
