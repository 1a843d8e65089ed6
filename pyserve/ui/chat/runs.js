// The answer that is being given: followed, shown, saved, stopped.

import { announce } from "../core/clipboard.js";
import { costOf, streamAnswer } from "./answering.js";
import { saveMessage, tellOthers } from "./conversations.js";

export const PATH = "chat/completions";
const SAVE_MS = 2000;
export const UNFINISHED = "unfinished"; // while it is given, and if the page is left then

// onbegin(), onend(), onproblem(error): it could not be saved.
export class Runs {
  constructor({ log, composer, onbegin, onend, onproblem }) {
    Object.assign(this, { log, composer, onbegin, onend, onproblem });
    this.running = null; // {controller, message, timer}
  }

  get isRunning() {
    return this.running !== null;
  }

  // Has the message, which the log shows, filled with the answer to `makeBody()`. What it has already
  // stays before it.
  async run(message, makeBody) {
    const before = { content: message.content, reasoning: message.reasoning ?? "" };
    const view = this.log.views.get(message.id);
    const controller = new AbortController();
    this.begin(controller, message, view);
    try {
      const body = makeBody();
      const update = (reader, progress) => {
        take(message, reader, before);
        view.show(progress);
      };
      const done = await streamAnswer(PATH, body, controller.signal, update);
      message.error = done.error?.message;
      message.cost = costOf(done);
    } catch (error) {
      message.error = error.message;
    }
    if (message.error && message.finish === UNFINISHED) message.finish = null;
    await this.end(message, view);
  }

  begin(controller, message, view) {
    const timer = setInterval(() => saveMessage(message).catch(() => {}), SAVE_MS);
    this.running = { controller, message, timer };
    view.complete();
    view.isRunning = true;
    view.show("waiting …");
    this.composer.show(true);
    this.onbegin();
  }

  async end(message, view) {
    if (this.running?.message === message) {
      this.forget();
      announce(message.error ? "" : "The answer is finished.");
    }
    view.isRunning = false;
    view.show();
    await tellOthers(message.conversation, saveMessage(message)).catch(this.onproblem);
    this.onend();
  }

  stop() {
    this.running?.controller.abort();
    this.forget();
  }

  forget() {
    clearInterval(this.running?.timer);
    this.running = null;
    this.composer.show(false);
  }
}

function take(message, reader, before) {
  message.content = before.content + reader.content;
  message.reasoning = before.reasoning + reader.reasoning;
  message.finish = reader.finish ?? UNFINISHED;
  if (reader.calls.length) message.calls = reader.calls.filter(Boolean);
  if (reader.tokens.length) message.tokens = reader.tokens;
}
