// The tab of live plots, models, keys and events. It asks while the page is visible.

import { make } from "../core/dom.js";
import { getJson, getText } from "../core/http.js";
import { read, write } from "../core/prefs.js";
import { eventsBetween } from "./events.js";
import { History, PLOTS } from "./history.js";
import { KEYS_SPAN_S, keyLines, keyQuestion } from "./keys.js";
import { parseMetrics, reduced } from "./metrics.js";
import { Plot } from "./plot.js";
import { modelTable, usageTable } from "./tables.js";

const EVERY_MS = 2000;
const USAGE_EVERY = 15; // times of those
const MOST_EVENTS = 200;
const SPANS = [
  ["300", "5 minutes"],
  ["900", "15 minutes"],
  ["3600", "1 hour"],
];

export class DashboardView {
  constructor() {
    this.history = new History();
    this.health = null;
    this.nAsked = 0;
    this.events = read("events", []);
    this.model = make("select", { "aria-label": "Model", onchange: () => this.draw() });
    this.span = make(
      "select",
      { "aria-label": "Time", onchange: () => this.draw() },
      ...SPANS.map(([s, label]) => new Option(label, s)),
    );
    this.problem = make("p", { class: "error", role: "status" });
    this.plots = PLOTS.map((make_) => ({ make: make_, plot: new Plot(make_) }));
    this.keys = new Plot({ title: "Generated tokens per hour, by key", format: "number" });
    this.keys.element.hidden = true;
    this.keyRows = [];
    this.models = make("div");
    this.usage = make("div");
    this.log = make("ol", { class: "events", tabindex: "0", "aria-label": "Events" });
    this.element = make(
      "div",
      { class: "view dashboard" },
      make(
        "div",
        { class: "row" },
        make("h2", {}, "Dashboard"),
        make("div", { class: "choices" }, this.model, this.span),
      ),
      this.problem,
      make(
        "div",
        { class: "plots" },
        ...this.plots.map(({ plot }) => plot.element),
        this.keys.element,
      ),
      this.models,
      this.usage,
      make("section", { "aria-label": "Events" }, make("h3", {}, "Events"), this.log),
    );
    this.showEvents();
    this.poll();
  }

  async poll() {
    if (!document.hidden) await this.ask();
    setTimeout(() => this.poll(), EVERY_MS);
  }

  async ask() {
    try {
      const [text] = await Promise.all([getText("metrics"), this.askHealth()]);
      this.history.add(performance.now() / 1000, reduced(parseMetrics(text)));
      if (this.nAsked % USAGE_EVERY === 0) await this.askUsage();
      this.nAsked += 1;
      this.problem.textContent = "";
    } catch (error) {
      this.problem.textContent = error.message;
    }
    this.showModels();
    this.draw();
  }

  // /health is 503 while no model can answer; the models are in its body all the same.
  async askHealth() {
    const { models } = await getJson("health").catch(({ status, body }) => {
      return status === 503 && body?.models ? body : { models: this.health ?? [] };
    });
    this.addEvents(eventsBetween(this.health, models));
    this.health = models;
    this.models.replaceChildren(modelTable(models));
  }

  async askUsage() {
    try {
      const [{ data }, hours] = await Promise.all([
        getJson("usage?group_by=key,model"),
        getJson(keyQuestion(Date.now() / 1000)),
      ]);
      this.usage.replaceChildren(usageTable(data));
      this.keyRows = hours.data;
      this.keys.element.hidden = false;
    } catch {
      this.keys.element.hidden = true;
      const note = "What each key has used is shown with an administrator's key.";
      this.usage.replaceChildren(make("p", { class: "hint" }, note));
    }
  }

  addEvents(events) {
    if (events.length === 0) return;
    const at = new Date().toLocaleString();
    this.events = [...events.map((event) => ({ at, ...event })), ...this.events].slice(
      0,
      MOST_EVENTS,
    );
    write("events", this.events);
    this.showEvents();
  }

  showEvents() {
    const rows = this.events.map(({ at, model, text, isBad }) => {
      return make(
        "li",
        { class: isBad ? "bad" : "" },
        make("time", {}, at),
        " ",
        make("strong", {}, model),
        " ",
        text,
      );
    });
    this.log.replaceChildren(...rows);
  }

  showModels() {
    const names = ["", ...this.history.models];
    const shown = [...this.model.options].map(({ value }) => value);
    if (names.join("\n") === shown.join("\n")) return;
    const { value } = this.model;
    this.model.replaceChildren(...names.map((name) => new Option(name || "All models", name)));
    this.model.value = names.includes(value) ? value : "";
  }

  draw() {
    const spanS = Number(this.span.value);
    for (const { make: make_, plot } of this.plots) {
      plot.show(this.history.lines(make_, this.model.value, spanS), spanS);
    }
    this.keys.show(keyLines(this.keyRows, this.model.value, Date.now() / 1000), KEYS_SPAN_S);
  }
}
