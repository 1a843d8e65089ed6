// An answer as it grows, out of the chunks of its stream. Pure.

export class AnswerReader {
  content = "";
  reasoning = "";
  calls = []; // {id, name, arguments}
  tokens = []; // {text, p, others: [[text, p]]}, where probabilities were asked for
  finish = null;
  usage = null;
  timings = null;
  progress = null; // {done, total} of the prompt
  waiting = ""; // what the server says of a request that waits
  nDeltas = 0;

  // Whether nothing has come that could be shown.
  get isSilent() {
    return this.nDeltas === 0 && !this.progress && !this.waiting;
  }

  comment(text) {
    const place = /^queued position=(\d+) of=(\d+)(?: eta=(\d+)s)?/.exec(text);
    if (!place) return;
    const eta = place[3] ? `, about ${place[3]} s` : "";
    this.waiting = `waiting: place ${place[1]} of ${place[2]}${eta}`;
  }

  chunk({ choices, usage, timings, prompt_progress: progress }) {
    if (usage) this.usage = usage;
    if (timings) this.timings = timings;
    if (progress) this.progress = { done: progress.processed, total: progress.total };
    for (const choice of choices ?? []) this.#choice(choice);
  }

  #choice({ delta = {}, text, logprobs, finish_reason: finish }) {
    const said = delta.content ?? text ?? "";
    const thought = delta.reasoning_content ?? "";
    if (said || thought || delta.tool_calls) this.nDeltas += 1;
    this.content += said;
    this.reasoning += thought;
    for (const call of delta.tool_calls ?? []) this.#call(call);
    this.tokens.push(...tokensOf(logprobs));
    this.finish = finish ?? this.finish;
  }

  #call({ index, id, function: { name, arguments: text } = {} }) {
    this.calls[index] ??= { id: "", name: "", arguments: "" };
    const call = this.calls[index];
    call.id ||= id ?? "";
    call.name += name ?? "";
    call.arguments += text ?? "";
  }
}

function tokensOf(logprobs) {
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map(({ token, logprob, top_logprobs: others }) => {
      const pairs = (others ?? []).map((one) => [one.token, Math.exp(one.logprob)]);
      return { text: token, p: Math.exp(logprob), others: pairs };
    });
  }
  return (logprobs.tokens ?? []).map((text, i) => {
    const others = Object.entries(logprobs.top_logprobs?.[i] ?? {});
    const pairs = others.map(([other, logprob]) => [other, Math.exp(logprob)]);
    return { text, p: Math.exp(logprobs.token_logprobs[i]), others: pairs };
  });
}
