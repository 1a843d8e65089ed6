// The OpenAPI document: every endpoint with its fields, ranges, examples and a curl line to try.

import { copyButton } from "../core/clipboard.js";
import { make, sentence } from "../core/dom.js";
import { serverUrl } from "../core/place.js";

// What links to an endpoint or a type: the page it is on may have more before the name.
let linkPrefix = "#";

function nameOf(ref) {
  return ref.split("/").pop();
}

function between(low, high, unit) {
  if (low === undefined && high === undefined) return "";
  if (low === undefined) return ` (at most ${high}${unit})`;
  return high === undefined ? ` (at least ${low}${unit})` : ` (${low} to ${high}${unit})`;
}

function rangeOf(schema) {
  if (schema.exclusiveMinimum !== undefined) {
    return ` (more than ${schema.exclusiveMinimum}, at most ${schema.maximum ?? "any"})`;
  }
  return (
    between(schema.minimum, schema.maximum, "") +
    between(schema.minLength, schema.maxLength, " characters") +
    between(schema.minItems, schema.maxItems, " items")
  );
}

// What a value may be, as text and links to types.
function typeOf(schema) {
  if (schema.$ref)
    return [make("a", { href: linkPrefix + nameOf(schema.$ref) }, nameOf(schema.$ref))];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, i) => [i ? " or " : "", ...typeOf(choice)]);
  const values = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (values) return [values.map((value) => JSON.stringify(value)).join(", ")];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {}), rangeOf(schema)];
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return ["object of ", ...typeOf(schema.additionalProperties)];
  }
  return [(schema.type ?? "anything") + rangeOf(schema)];
}

function fieldRow(name, schema, isRequired) {
  const notes = sentence(schema.description);
  if (schema.default !== undefined) notes.push(` Default: ${JSON.stringify(schema.default)}.`);
  return make(
    "tr",
    {},
    make("td", {}, make("code", {}, name), isRequired ? " (required)" : ""),
    make("td", {}, ...typeOf(schema)),
    make("td", {}, ...notes),
  );
}

function fieldTable(schema, caption) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {});
  fields.sort(([a], [b]) => required.has(b) - required.has(a));
  const head = ["Field", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text));
  const rows = fields.map(([name, part]) => fieldRow(name, part, required.has(name)));
  const table = make(
    "table",
    { "aria-label": caption },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
  return make("div", { class: "table" }, table);
}

function pretty(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

// The path, below /v1 unless the operation has servers of its own.
function wholePath(path, operation) {
  return (operation.servers ? "" : "/v1") + path;
}

const OPTION_OF = { get: "", head: "-I ", post: "-X POST ", delete: "-X DELETE " };

function curlOf(method, path, body) {
  const filled = path.replace(/\{(\w+)\}/g, "smollm2-135m-instruct");
  const line = `curl ${OPTION_OF[method]}${serverUrl()}${filled}`;
  if (body === undefined) return line;
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `${line} \\\n  -H "Content-Type: application/json" \\\n  -d '${json}'`;
}

function copyable(text) {
  const button = copyButton(() => text);
  return [make("div", { class: "example" }, make("pre", { tabindex: "0" }, text), button)];
}

// The names of the types that a body may be of.
function namesOf({ $ref, oneOf, anyOf }) {
  if ($ref) return [nameOf($ref)];
  return (oneOf ?? anyOf ?? []).flatMap(namesOf);
}

function requestOf(api, name) {
  const schema = api.components.schemas[name];
  const parts = [make("h4", {}, "Request"), make("p", {}, ...sentence(schema.description))];
  parts.push(fieldTable(schema, `Fields of ${name}`));
  const refused = schema["x-refused-fields"] ?? [];
  if (refused.length) {
    const list = make("p", {}, make("code", {}, refused.join(", ")));
    parts.push(make("details", {}, make("summary", {}, "Fields that are refused"), list));
  }
  return parts;
}

function responseOf(api, status, response) {
  const found = response.$ref ? api.components.responses[nameOf(response.$ref)] : response;
  const parts = [make("summary", {}, `${status}: `, ...sentence(found.description))];
  for (const [type, shown] of Object.entries(found.content ?? {})) {
    parts.push(make("p", {}, `${type}: `, ...typeOf(shown["x-event-schema"] ?? shown.schema)));
    if (shown.example === undefined) continue;
    parts.push(make("pre", { tabindex: "0" }, pretty(shown.example)));
  }
  return make("details", { open: status === "200" }, ...parts);
}

function titleOf(method, path) {
  return [make("span", { class: "method" }, method), " ", make("code", {}, path)];
}

// shown: request types that an endpoint above has explained already.
function operationSection(api, path, method, operation, shown) {
  const content = operation.requestBody?.content["application/json"];
  const section = make("section", { id: operation.operationId });
  section.append(make("h3", {}, ...titleOf(method, path)), make("p", {}, operation.summary));
  if (operation.description) section.append(make("p", {}, ...sentence(operation.description)));
  section.append(...copyable(curlOf(method, path, content?.example)));
  const names = namesOf(content?.schema ?? {});
  const first = shown.get(names.join());
  if (first) {
    const link = make("a", { href: linkPrefix + first }, first);
    section.append(make("p", {}, "Takes and gives the same as ", link, "."));
    return section;
  }
  if (names.length) {
    shown.set(names.join(), operation.operationId);
    section.append(...names.flatMap((name) => requestOf(api, name)));
  }
  section.append(make("h4", {}, "Responses"));
  for (const [status, response] of Object.entries(operation.responses)) {
    section.append(responseOf(api, status, response));
  }
  return section;
}

function typeSection(name, schema) {
  const section = make("section", { id: name }, make("h3", { class: "name" }, name));
  section.append(make("p", {}, ...sentence(schema.description)));
  section.append(fieldTable(schema, `Fields of ${name}`));
  return section;
}

function contentsOf(title, entries, isOpen) {
  const links = entries.map(([id, ...text]) => {
    return make("li", {}, make("a", { href: linkPrefix + id }, ...text));
  });
  const list = make("ul", {}, ...links);
  return make("details", { open: isOpen }, make("summary", {}, title), list);
}

// {contents, sections}: what a page shows of the document. prefix: of links to its parts.
export function referenceOf(api, prefix) {
  linkPrefix = prefix;
  const shown = new Map();
  const byTag = new Map();
  const sections = [
    make("p", {}, ...sentence(api.info.description)),
    make("p", {}, `Version ${api.info.version}`),
  ];
  for (const [name, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const path = wholePath(name, operation);
      sections.push(operationSection(api, path, method, operation, shown));
      const [tag] = operation.tags;
      const entry = [operation.operationId, ...titleOf(method, path)];
      byTag.set(tag, [...(byTag.get(tag) ?? []), entry]);
    }
  }
  const types = Object.entries(api.components.schemas);
  sections.push(...types.map(([name, schema]) => typeSection(name, schema)));
  const contents = [...byTag].map(([tag, entries], i) => contentsOf(tag, entries, i === 0));
  contents.push(
    contentsOf(
      "Types",
      types.map(([name]) => [name, name]),
      false,
    ),
  );
  return { contents, sections };
}
