// What the buttons of a turn do: turns are added, edited, branched, deleted, and answered.

import { say } from "../core/clipboard.js";
import { confirmed } from "../core/dialog.js";
import { showSnippets } from "../core/snippetdialog.js";
import * as store from "./conversations.js";
import { bodyOf } from "./request.js";
import { PATH, UNFINISHED } from "./runs.js";

export class Turns {
  // view: of the conversation that is open, its `conversation`, `tree` and `path`, what shows them,
  // and what runs.
  constructor(view) {
    this.view = view;
  }

  get conversation() {
    return this.view.conversation;
  }

  get tree() {
    return this.view.tree;
  }

  get path() {
    return this.view.path;
  }

  get log() {
    return this.view.log;
  }

  get runs() {
    return this.view.runs;
  }

  actions() {
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
    await store.saveTurn(this.conversation, messages).catch((error) => this.view.notSaved(error));
    this.view.showPath();
    this.log.refresh(messages.flatMap(({ id }) => this.tree.siblings(id)));
    this.log.toEnd();
    this.view.sidebar.show();
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
    store.saveConversation(this.conversation).catch((error) => this.view.notSaved(error));
    this.view.showPath();
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
    this.view.showPath();
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
    try {
      await store.saveTurn(conversation, messages);
    } catch (error) {
      return this.view.notSaved(error);
    }
    await this.view.open(conversation.id);
    return say("This is the new conversation.");
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

  body(path) {
    return bodyOf({ ...this.conversation.settings, model: this.view.model.chosen }, path);
  }

  snippets() {
    try {
      const text = this.view.composer.area.value;
      const { files } = this.view.composer.attachments;
      const asked =
        text || files.length
          ? [...this.path, { role: "user", content: text, files }]
          : this.lastAsked();
      showSnippets(PATH, this.body(asked));
    } catch (error) {
      this.view.tell(error.message);
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
      model: this.view.model.chosen,
    });
    await this.run(message, () => this.body(this.tree.pathTo(parent)));
  }

  // Has an answer go on where it ended, as a further version of it.
  async continue(message) {
    const { parent, content, reasoning } = message;
    const longer = store.newMessage(this.conversation, parent, "assistant", content, {
      model: this.view.model.chosen,
      reasoning,
    });
    await this.run(longer, () => {
      const path = [...this.tree.pathTo(parent), message];
      return { ...this.body(path), continue_final_message: true };
    });
  }

  async run(message, makeBody) {
    this.runs.stop();
    message.finish = UNFINISHED;
    await this.addTurns([message]);
    await this.runs.run(message, makeBody);
  }
}
