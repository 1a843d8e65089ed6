// The tab of conversations: what is open, what runs, and what every button of a turn does.

import { say } from "../core/clipboard.js";
import { confirmed } from "../core/dialog.js";
import { make } from "../core/dom.js";
import { iconButton } from "../core/icons.js";
import { read, write } from "../core/prefs.js";
import { showSnippets } from "../core/snippetdialog.js";
import { defaultsOf } from "../models/defaults.js";
import { ModelSelect } from "../models/select.js";
import { models, rememberModel } from "../models/state.js";
import { Composer } from "./composer.js";
import * as store from "./conversations.js";
import { Log } from "./log.js";
import { Panel } from "./panel.js";
import { bodyOf, newSettings } from "./request.js";
import { PATH, Runs } from "./runs.js";
import { Sidebar } from "./sidebar.js";
import { Tree } from "./tree.js";

export class ChatView {
  constructor() {
    this.log = new Log(this.turnActions());
    this.status = make("p", { class: "status", role: "status" });
    this.composer = new Composer({
      onsend: (text, files) => this.send(text, files),
      onstop: () => this.runs.stop(),
      onsnippets: () => this.snippets(),
      onlast: () => this.editLast(),
      onproblem: (text) => this.tell(text),
    });
    this.runs = new Runs({
      log: this.log,
      composer: this.composer,
      onbegin: () => this.tell(""),
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
    this.build();
    this.fresh();
    models.watch(() => {
      this.showEmpty();
      this.askDefaults();
    });
  }

  build() {
    this.title = make("h2", { class: "title" });
    this.empty = make("div", { class: "empty" });
    const side = iconButton("menu", "Conversations", () => this.toggle("side"));
    const settings = iconButton("sliders", "Settings", () => this.toggle("panel"));
    this.toggles = { side, panel: settings };
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
    const shade = make("div", { class: "shade", onclick: () => this.closeDrawers() });
    this.element = make("div", { class: "chat" }, sidebar.element, talk, panel.element, shade);
    this.element.addEventListener("keydown", (event) => this.key(event));
    const isWide = matchMedia("(min-width: 60rem)").matches;
    this.setDrawer("side", isWide && read("side", true));
    this.setDrawer("panel", isWide && read("panel", false));
  }

  key(event) {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (this.runs.isRunning) this.runs.stop();
    else this.closeDrawers();
  }

  toggle(name) {
    const isOpen = !this.element.classList.contains(`has-${name}`);
    this.setDrawer(name, isOpen);
    if (matchMedia("(min-width: 60rem)").matches) write(name, isOpen);
    if (isOpen)
      this[name === "side" ? "sidebar" : "panel"].element
        .querySelector("button, select, input")
        ?.focus();
  }

  setDrawer(name, isOpen) {
    this.element.classList.toggle(`has-${name}`, isOpen);
    this.toggles[name].setAttribute("aria-expanded", String(isOpen));
    this[name === "side" ? "sidebar" : "panel"].element.inert = !isOpen;
  }

  closeDrawers() {
    if (matchMedia("(min-width: 60rem)").matches) return;
    this.setDrawer("side", false);
    this.setDrawer("panel", false);
  }

  // Called when the tab is shown.
  enter() {
    this.sidebar.show();
    if (matchMedia("(min-width: 60rem)").matches) this.composer.focus();
  }

  tell(text) {
    this.status.textContent = text;
  }

  // Conversations ------------------------------------------------------------------------------

  fresh() {
    this.runs.stop();
    const settings = { ...newSettings(), ...read("settings", {}) };
    this.load(store.newConversation(settings), []);
    this.closeDrawers();
    this.composer.focus();
  }

  async open(id) {
    if (id === this.conversation.id) return this.closeDrawers();
    const [conversation, messages] = await Promise.all([
      store.readConversation(id),
      store.readMessages(id),
    ]);
    if (!conversation) return this.sidebar.show();
    this.runs.stop();
    this.load(conversation, messages);
    this.closeDrawers();
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
    if (error) text = `The models could not be listed: ${error.message}`;
    else if (list?.length === 0) text = "No model is served.";
    this.empty.replaceChildren(make("p", {}, text));
  }

  changeSettings(settings) {
    this.conversation.settings = settings;
    const { model: _, ...usual } = settings;
    if (this.log.path.length === 0) write("settings", usual);
    else store.saveConversation(this.conversation);
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

  // Turns --------------------------------------------------------------------------------------

  turnActions() {
    return {
      edit: (message, text) => this.edit(message, text),
      regenerate: (message) => this.answer(message.parent),
      continue: (message) => this.continue(message),
      branch: (message) => this.branch(message),
      remove: (message) => this.remove(message),
      turnTo: (message, step) => this.turnTo(message, step),
      results: (message, texts) => this.giveResults(message, texts),
      place: ({ id }) => {
        const siblings = this.tree.siblings(id);
        return { index: siblings.indexOf(id), n: siblings.length };
      },
      hasResults: ({ id }) => (this.tree.children.get(id) ?? []).length > 0,
    };
  }

  async send(text, files) {
    const message = store.newMessage(this.conversation, this.conversation.leaf, "user", text, {
      files,
    });
    this.conversation.title ||= store.titleOf(text || files[0].name);
    await this.addTurns([message]);
    await this.answer(message.id);
  }

  // Adds messages that follow each other, and makes the last one the leaf.
  async addTurns(messages) {
    messages.forEach((message) => this.tree.add(message));
    this.conversation.leaf = messages.at(-1).id;
    this.conversation.updated = Date.now();
    await store.saveTurn(this.conversation, messages).catch((error) => this.notSaved(error));
    this.showPath();
    this.log.refresh(messages.flatMap(({ id }) => this.tree.siblings(id)));
    this.log.toEnd();
    this.sidebar.show();
  }

  notSaved(error) {
    this.tell(`This turn could not be saved in the browser: ${error.message}`);
  }

  async edit(message, text) {
    const { role, parent, files } = message;
    if (role === "user") this.runs.stop();
    const edited = store.newMessage(this.conversation, parent, role, text, { files });
    await this.addTurns([edited]);
    if (role === "user") await this.answer(edited.id);
  }

  editLast() {
    const last = this.path.findLast(({ role }) => role === "user");
    const view = last && this.log.views.get(last.id);
    view?.complete();
    view?.edit();
  }

  turnTo(message, step) {
    this.runs.stop();
    const siblings = this.tree.siblings(message.id);
    const next = siblings[siblings.indexOf(message.id) + step];
    this.conversation.leaf = this.tree.newestBelow(next);
    store.saveConversation(this.conversation);
    this.showPath();
    this.log.views.get(next)?.element.scrollIntoView({ block: "nearest" });
  }

  async remove(message) {
    const n = this.path.length - this.path.indexOf(message);
    const what = n === 1 ? "this turn" : `this turn and the ${n - 1} after it`;
    if (!(await confirmed(`Delete ${what}?`, "Delete"))) return;
    this.runs.stop();
    const ids = this.tree.remove(message.id);
    const other =
      this.tree.siblings(message.id)[0] ?? this.tree.children.get(message.parent)?.at(-1);
    this.conversation.leaf = other ? this.tree.newestBelow(other) : message.parent;
    await store.deleteMessages(this.conversation, ids);
    this.showPath();
    this.log.refresh();
  }

  async branch(message) {
    const path = this.tree.pathTo(message.id);
    const { title, settings } = this.conversation;
    const conversation = { ...store.newConversation(settings), title: `${title} (branch)` };
    let parent = null;
    const messages = path.map((one) => {
      const copy = { ...one, id: store.newId(), conversation: conversation.id, parent };
      parent = copy.id;
      return copy;
    });
    conversation.leaf = parent;
    await store.saveTurn(conversation, messages);
    await this.open(conversation.id);
    say("This is the new conversation.");
  }

  async giveResults(message, texts) {
    let parent = message.id;
    const results = message.calls.map(({ id: callId, name }, i) => {
      const result = store.newMessage(this.conversation, parent, "tool", texts[i], {
        callId,
        name,
      });
      parent = result.id;
      return result;
    });
    await this.addTurns(results);
    this.log.refresh([message.id]);
    await this.answer(parent);
  }

  // Answers ------------------------------------------------------------------------------------

  body(path) {
    return bodyOf({ ...this.conversation.settings, model: this.model.chosen }, path);
  }

  snippets() {
    try {
      const text = this.composer.area.value;
      const { files } = this.composer.attachments;
      const asked =
        text || files.length
          ? [...this.path, { role: "user", content: text, files }]
          : this.lastAsked();
      showSnippets(PATH, this.body(asked));
    } catch (error) {
      this.tell(error.message);
    }
  }

  // The turns that the last answer was given to.
  lastAsked() {
    const { path } = this;
    return path.at(-1)?.role === "assistant" ? path.slice(0, -1) : path;
  }

  // Has the conversation up to the message `parent` answered.
  async answer(parent) {
    const message = store.newMessage(this.conversation, parent, "assistant", "", {
      model: this.model.chosen,
    });
    await this.run(message, () => this.body(this.tree.pathTo(parent)));
  }

  // Has an answer go on where it ended, as a further version of it.
  async continue(message) {
    const { parent, content, reasoning } = message;
    const longer = store.newMessage(this.conversation, parent, "assistant", content, {
      model: this.model.chosen,
      reasoning,
    });
    await this.run(longer, () => {
      const path = [...this.tree.pathTo(parent), message];
      return { ...this.body(path), continue_final_message: true };
    });
  }

  async run(message, makeBody) {
    this.runs.stop();
    await this.addTurns([message]);
    await this.runs.run(message, makeBody);
  }
}
