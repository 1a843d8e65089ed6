// The OpenAPI document: what fields mean and may be is told there, and nowhere in these pages.

import { getJson } from "../core/http.js";

let asked = null;

// The document; asked for once.
export function apiDocument() {
  asked ??= getJson("openapi.json").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

// The schema of a request's fields, by name.
export async function fieldsOf(name) {
  return (await apiDocument()).components.schemas[name].properties;
}
