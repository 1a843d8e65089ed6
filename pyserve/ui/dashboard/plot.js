// A plot of lines over time, with the values under the pointer.

import { make, svg } from "../core/dom.js";
import { bytes, percent, seconds, short } from "../core/format.js";
import { pathOf, roundAbove } from "./scale.js";

const WIDTH = 600;
const HEIGHT = 150;
const MOST_LINES = 8;
const FORMATS = {
  number: (value) =>
    value < 100 ? String(Number(value.toPrecision(3))) : short(Math.round(value)),
  seconds,
  bytes,
  share: percent,
};

export class Plot {
  constructor({ title, format }) {
    this.format = FORMATS[format];
    this.top = format === "share" ? 1 : null;
    this.isBytes = format === "bytes";
    this.title = title;
    this.paths = Array.from({ length: MOST_LINES }, (_, k) => svg("path", { class: `line l${k}` }));
    this.cursor = svg("path", { class: "cursor" });
    const grid = svg("path", {
      class: "grid",
      d: `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`,
    });
    this.picture = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": title,
      },
      grid,
      ...this.paths,
      this.cursor,
    );
    this.scale = make("span", { class: "scale" });
    this.legend = make("ul", { class: "legend" });
    this.element = make(
      "figure",
      { class: "plot" },
      make("figcaption", {}, title),
      make("div", { class: "box" }, this.scale, this.picture),
      this.legend,
    );
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.data = { times: [], lines: [] };
    this.at = null;
  }

  // spanS: how much time the width is.
  show({ times, lines }, spanS) {
    this.data = { times, lines: lines.slice(0, MOST_LINES) };
    const all = this.data.lines.flatMap(({ values }) => values).filter(Number.isFinite);
    const most = Math.max(0, ...all);
    const top = this.top ?? (this.isBytes ? roundBytes(most) : roundAbove(most));
    const end = times.at(-1) ?? 0;
    const box = { width: WIDTH, height: HEIGHT, begin: end - spanS, end, top };
    this.paths.forEach((path, k) => {
      const line = this.data.lines[k];
      path.setAttribute("d", line ? pathOf(times, line.values, box) : "");
    });
    this.scale.textContent = this.format(top);
    this.begin = box.begin;
    this.spanS = spanS;
    this.showLegend();
  }

  point(event) {
    this.at = event && event.offsetX / Math.max(this.picture.clientWidth, 1);
    this.showLegend();
  }

  // The values at the pointer, else the newest.
  showLegend() {
    const { times, lines } = this.data;
    let i = times.length - 1;
    if (this.at !== null) {
      const wanted = this.begin + this.at * this.spanS;
      while (i > 0 && Math.abs(times[i - 1] - wanted) < Math.abs(times[i] - wanted)) i -= 1;
    }
    const x = (((times[i] ?? 0) - this.begin) / this.spanS) * WIDTH;
    this.cursor.setAttribute("d", this.at === null || i < 0 ? "" : `M${x} 0V${HEIGHT}`);
    const texts = lines.map(({ label, values }) => [label, this.valueText(values[i])]);
    this.legend.replaceChildren(
      ...texts.map(([label, text], k) =>
        make("li", { class: `l${k}` }, label, " ", make("strong", {}, text)),
      ),
    );
    const said = texts.map(([label, text]) => `${label} ${text}`).join(", ");
    this.picture.setAttribute("aria-label", `${this.title}: ${said || "nothing yet"}`);
  }

  valueText(value) {
    return value === null || value === undefined ? "–" : this.format(value);
  }
}

function roundBytes(value) {
  let top = 1024 * 1024;
  while (top < value) top *= 2;
  return top * 0.75 >= value ? top * 0.75 : top;
}
