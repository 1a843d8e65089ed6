// Server-sent events out of pieces of text, cut anywhere.

// Gives events {data, comment} for what is complete; keeps the rest.
export class EventReader {
  #rest = "";

  push(text) {
    const blocks = (this.#rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(eventOf).filter((event) => event !== null);
  }
}

function eventOf(block) {
  const lines = block.split("\n");
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => valueOf(line, 5));
  if (data.length) return { data: data.join("\n"), comment: "" };
  const comments = lines.filter((line) => line.startsWith(":")).map((line) => valueOf(line, 1));
  return comments.length ? { data: "", comment: comments.join("\n") } : null;
}

function valueOf(line, begin) {
  return line.slice(line[begin] === " " ? begin + 1 : begin);
}
