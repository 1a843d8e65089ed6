// What a model takes for parameters that a request does not set.

import { getJson } from "../core/http.js";
import { models } from "./state.js";

const known = new Map();

// The values by name, {} while they are not known; they are of loaded models alone.
export async function defaultsOf(model) {
  const state = models.value.list?.find(({ id }) => id === model)?.meta.state;
  if (state !== "ready") return known.get(model) ?? {};
  if (!known.has(model)) {
    known.set(model, {});
    try {
      const props = await getJson(`props?model=${encodeURIComponent(model)}`);
      // A seed that is not set is another one each time.
      const { seed: _, ...values } = props.default_generation_settings.params;
      known.set(model, values);
    } catch {
      known.delete(model);
    }
  }
  return known.get(model) ?? {};
}
