// The tab of conversations: its parts, and which conversation is open.

import { button, make } from "../core/dom.js";
import { iconButton } from "../core/icons.js";
import { read, write } from "../core/prefs.js";
import { defaultsOf } from "../models/defaults.js";
import { ModelSelect } from "../models/select.js";
import { models, refreshModels, rememberModel } from "../models/state.js";
import { showKey } from "../settings/keydialog.js";
import { Composer } from "./composer.js";
import * as store from "./conversations.js";
import { Drawers, isWide } from "./drawers.js";
import { Log } from "./log.js";
import { Panel } from "./panel.js";
import { newSettings } from "./request.js";
import { Runs } from "./runs.js";
import { Sidebar } from "./sidebar.js";
import { Tree } from "./tree.js";
import { Turns } from "./turns.js";

const UNAUTHORIZED = 401;

export class ChatView {
  constructor() {
    this.turns = new Turns(this);
    this.log = new Log(this.turns.actions());
    this.status = make("p", { class: "status", role: "status" });
    this.composer = new Composer({
      onsend: (text, files) => this.turns.send(text, files),
      onstop: () => this.runs.stop(),
      onsnippets: () => this.turns.snippets(),
      onlast: () => this.turns.editLast(),
      onproblem: (text) => this.tell(text),
    });
    this.runs = new Runs({
      log: this.log,
      composer: this.composer,
      onbegin: () => this.tell(""),
      onend: () => this.isBehind && this.catchUp(),
      onproblem: (error) => this.notSaved(error),
    });
    this.panel = new Panel({
      settings: () => this.conversation.settings,
      onchange: (settings) => this.changeSettings(settings),
    });
    this.sidebar = new Sidebar({
      current: () => this.conversation.id,
      onopen: (id) => this.open(id),
      onnew: () => this.fresh(),
      ongone: () => this.fresh(),
      onrenamed: (id, title) => this.renamed(id, title),
    });
    this.model = new ModelSelect({
      value: () => this.conversation?.settings.model ?? "",
      onchange: (id) => this.chooseModel(id),
    });
    this.isBehind = false; // another tab has changed what is open here
    this.build();
    this.fresh();
    store.watchOthers((id) => this.changedElsewhere(id));
    models.watch(() => {
      this.showEmpty();
      this.askDefaults();
    });
  }

  build() {
    this.title = make("h2", { class: "title" });
    this.empty = make("div", { class: "empty" });
    const side = iconButton("menu", "Conversations", () => this.drawers.toggle("side"));
    const settings = iconButton("sliders", "Settings", () => this.drawers.toggle("panel"));
    const bar = make("div", { class: "bar" }, side, this.title, this.model.element, settings);
    const down = iconButton("down", "To the end", () => this.log.toEnd(), {
      class: "quiet to-end",
    });
    const talk = make(
      "section",
      { class: "talk", "aria-label": "Chat" },
      bar,
      this.log.element,
      this.empty,
      down,
      this.status,
      this.composer.element,
    );
    const { sidebar, panel } = this;
    const shade = make("div", { class: "shade", onclick: () => this.drawers.close() });
    this.element = make("div", { class: "chat" }, sidebar.element, talk, panel.element, shade);
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.drawers = new Drawers(this.element, {
      side: { element: sidebar.element, toggle: side, isOpen: true },
      panel: { element: panel.element, toggle: settings, isOpen: false },
    });
  }

  key(event) {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (this.runs.isRunning) this.runs.stop();
    else this.drawers.close();
  }

  // Called when the tab is shown.
  enter() {
    this.sidebar.show();
    if (isWide()) this.composer.focus();
  }

  tell(text) {
    this.status.textContent = text;
  }

  fresh() {
    this.runs.stop();
    const settings = { ...newSettings(), ...read("settings", {}) };
    this.load(store.newConversation(settings), []);
    this.drawers.close();
    this.composer.focus();
  }

  async open(id) {
    if (id === this.conversation.id) return this.drawers.close();
    const [conversation, messages] = await Promise.all([
      store.readConversation(id),
      store.readMessages(id),
    ]);
    if (!conversation) return this.sidebar.show();
    this.runs.stop();
    this.load(conversation, messages);
    this.drawers.close();
    return this.sidebar.show();
  }

  load(conversation, messages) {
    this.conversation = conversation;
    this.tree = new Tree(messages);
    this.log.clear();
    this.showPath();
    this.log.toEnd();
    this.panel.show();
    this.model.show();
    this.tell("");
    this.askDefaults();
    this.sidebar.show();
  }

  changedElsewhere(id) {
    this.sidebar.show();
    if (id !== this.conversation.id) return;
    this.isBehind = true;
    if (!this.runs.isRunning) this.catchUp();
  }

  // Takes over what another tab did to the open conversation; who was at its end goes on there.
  async catchUp() {
    this.isBehind = false;
    const { id, leaf } = this.conversation;
    const [kept, messages] = await Promise.all([
      store.readConversation(id),
      store.readMessages(id),
    ]);
    if (id !== this.conversation.id || this.runs.isRunning) return;
    if (!kept) {
      if (messages.length) store.deleteConversation(id); // what was saved after it was deleted
      this.fresh();
      this.tell("This conversation was deleted in another tab.");
      return;
    }
    this.tree = new Tree(messages);
    const isAhead = this.tree.pathTo(kept.leaf).some((message) => message.id === leaf);
    const here = this.tree.get(leaf) ? leaf : kept.leaf;
    this.conversation = { ...kept, leaf: isAhead ? kept.leaf : here };
    this.log.clear();
    this.showPath();
    this.log.toEnd();
    this.panel.show();
    this.model.show();
  }

  renamed(id, title) {
    if (id !== this.conversation.id) return;
    this.conversation.title = title;
    this.showPath();
  }

  get path() {
    return this.tree.pathTo(this.conversation.leaf);
  }

  showPath() {
    const { path } = this;
    this.log.show(path);
    this.title.textContent = this.conversation.title || "New chat";
    this.showEmpty();
  }

  showEmpty() {
    this.empty.hidden = this.log.path.length > 0;
    const { list, error } = models.value;
    let text = "Ask anything. What you write stays in this browser and goes to this server alone.";
    if (error?.status === UNAUTHORIZED) text = "This server wants an API key.";
    else if (error) text = `The models could not be listed: ${error.message}`;
    else if (list?.length === 0) text = "No model is served.";
    const parts = [make("p", {}, text)];
    if (error?.status === UNAUTHORIZED) {
      parts.push(button("Enter the key", () => showKey(refreshModels), { class: "primary" }));
    }
    this.empty.replaceChildren(...parts);
  }

  changeSettings(settings) {
    this.conversation.settings = settings;
    const { model: _, ...usual } = settings;
    if (this.log.path.length === 0) write("settings", usual);
    else store.saveConversation(this.conversation).catch((error) => this.notSaved(error));
  }

  chooseModel(id) {
    rememberModel(id);
    this.changeSettings({ ...this.conversation.settings, model: id });
    this.askDefaults();
  }

  // The model's own values, shown where a parameter is not set.
  async askDefaults() {
    this.panel.parameters.showDefaults(await defaultsOf(this.model.chosen));
  }

  notSaved(error) {
    this.tell(`This could not be saved in the browser: ${error.message}`);
  }
}
