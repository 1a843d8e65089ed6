// What has happened to the models: loads, crashes, restarts, read from the states of /health. Pure.

// The events between two answers of /health, texts. before: null at first.
export function eventsBetween(before, after) {
  const old = new Map((before ?? []).map((model) => [model.id, model]));
  return [
    ...after.flatMap((model) => eventsOf(old.get(model.id), model)),
    ...[...old.keys()]
      .filter((id) => !after.some((model) => model.id === id))
      .map((id) => ({ model: id, text: "is no longer served" })),
  ];
}

function eventsOf(old, { id, state, n_restarts: restarts, error, kernels, kernel_falls: falls }) {
  const event = (text, isBad = false) => ({ model: id, text, isBad });
  if (!old) return [event(`is ${state}`, state === "failed")];
  const events = [];
  const n = restarts - old.n_restarts;
  if (n > 0)
    events.push(event(n === 1 ? "was started again" : `was started again ${n} times`, true));
  if (error && error !== old.error) events.push(event(error, true));
  if (state !== old.state) events.push(event(`${old.state} → ${state}`, state === "failed"));
  if (kernels && old.kernels && kernels !== old.kernels)
    events.push(event(`computes with ${kernels} instead of ${old.kernels}`, true));
  for (const { kernels: name, reason } of (falls ?? []).slice((old.kernel_falls ?? []).length)) {
    events.push(event(`cannot use ${name}: ${reason}`, true));
  }
  return events;
}
