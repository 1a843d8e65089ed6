// The tab of conversations: what is open, what runs, and what every button of a turn does.

import { announce, say } from "../core/clipboard.js";
import { confirmed } from "../core/dialog.js";
import { make } from "../core/dom.js";
import { iconButton } from "../core/icons.js";
import { read, write } from "../core/prefs.js";
import { showSnippets } from "../core/snippetdialog.js";
import { defaultsOf } from "../models/defaults.js";
import { ModelSelect } from "../models/select.js";
import { models, rememberModel } from "../models/state.js";
import { costOf, streamAnswer } from "./answering.js";
import { Composer } from "./composer.js";
import * as store from "./conversations.js";
import { progressText } from "./cost.js";
import { Log } from "./log.js";
import { Panel } from "./panel.js";
import { bodyOf, newSettings } from "./request.js";
import { Sidebar } from "./sidebar.js";
import { Tree } from "./tree.js";

const SAVE_MS = 2000;
const PATH = "chat/completions";

export class ChatView {
  constructor() {
    this.running = null; // {controller, message} of the answer that is being given
    this.log = new Log(this.turnActions());
    this.status = make("p", { class: "status", role: "status" });
    this.composer = new Composer({
      onsend: (text, files) => this.send(text, files),
      onstop: () => this.stop(),
      onsnippets: () => this.snippets(),
      onlast: () => this.editLast(),
      onproblem: (text) => this.tell(text),
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
    const down = iconButton("down", "To the end", () => this.log.toEnd(), { class: "quiet to-end" });
    const talk = make("section", { class: "talk", "aria-label": "Chat" }, bar, this.log.element, this.empty, down, this.status, this.composer.element);
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
    if (this.running) this.stop();
    else this.closeDrawers();
  }

  toggle(name) {
    const isOpen = !this.element.classList.contains(`has-${name}`);
    this.setDrawer(name, isOpen);
    if (matchMedia("(min-width: 60rem)").matches) write(name, isOpen);
    if (isOpen) this[name === "side" ? "sidebar" : "panel"].element.querySelector("button, select, input")?.focus();
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
    this.stop();
    const settings = { ...newSettings(), ...read("settings", {}) };
    this.load(store.newConversation(settings), []);
    this.closeDrawers();
    this.composer.focus();
  }

  async open(id) {
    if (id === this.conversation.id) return this.closeDrawers();
    const [conversation, messages] = await Promise.all([store.readConversation(id), store.readMessages(id)]);
    if (!conversation) return this.sidebar.show();
    this.stop();
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
    const message = store.newMessage(this.conversation, this.conversation.leaf, "user", text, { files });
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
    if (role === "user") this.stop();
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
    this.stop();
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
    this.stop();
    const ids = this.tree.remove(message.id);
    const other = this.tree.siblings(message.id)[0] ?? this.tree.children.get(message.parent)?.at(-1);
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
      const result = store.newMessage(this.conversation, parent, "tool", texts[i], { callId, name });
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
      const asked = text || files.length ? [...this.path, { role: "user", content: text, files }] : this.lastAsked();
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
    this.stop();
    const before = { content: message.content, reasoning: message.reasoning ?? "" };
    await this.addTurns([message]);
    const view = this.log.views.get(message.id);
    const controller = new AbortController();
    this.begin({ controller, message, view });
    try {
      const body = makeBody();
      const begin = performance.now();
      const update = (reader) => {
        this.take(message, reader, before);
        view.show(progressText(reader, performance.now() - begin));
      };
      const done = await streamAnswer(PATH, body, controller.signal, update);
      message.error = done.error?.message;
      message.cost = costOf(done);
    } catch (error) {
      message.error = error.message;
    }
    await this.end(message, view);
  }

  take(message, reader, before) {
    message.content = before.content + reader.content;
    message.reasoning = before.reasoning + reader.reasoning;
    message.finish = reader.finish;
    if (reader.calls.length) message.calls = reader.calls.filter(Boolean);
    if (reader.tokens.length) message.tokens = reader.tokens;
  }

  begin(running) {
    const { message, view } = running;
    this.running = running;
    view.complete();
    view.isRunning = true;
    view.show("waiting …");
    this.composer.show(true);
    this.tell("");
    running.timer = setInterval(() => store.saveMessage(message).catch(() => {}), SAVE_MS);
  }

  async end(message, view) {
    const running = this.running;
    if (running?.message === message) {
      clearInterval(running.timer);
      this.running = null;
      this.composer.show(false);
      announce(message.error ? "" : "The answer is finished.");
    }
    view.isRunning = false;
    view.show();
    await store.saveMessage(message).catch((error) => this.notSaved(error));
  }

  stop() {
    const { running } = this;
    if (!running) return;
    running.controller.abort();
    clearInterval(running.timer);
    this.running = null;
    this.composer.show(false);
  }
}
