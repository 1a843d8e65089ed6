// Shows openapi.json: every endpoint with its fields, ranges, examples and a curl line to try.
"use strict";

// Where the API is: this page is at /docs and at /v1/docs, maybe below the path of a proxy.
const BASE = `${location.origin}${location.pathname.replace(/(v1\/)?docs$/, "")}v1`;

// An element. Strings become text, so nothing in the document is read as HTML.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A sentence whose parts in backticks are code.
function sentence(text) {
  const parts = (text ?? "").split("`");
  return parts.map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

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
  if (schema.$ref) return [make("a", { href: `#${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
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
  const head = ["Field", "Type", ""].map((text) => make("th", { scope: "col" }, text));
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

function curlOf(method, path, body) {
  const filled = path.replace(/\{(\w+)\}/g, "smollm2-135m-instruct");
  const line = `curl ${method === "get" ? "" : "-X POST "}${BASE}${filled}`;
  if (body === undefined) return line;
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `${line} \\\n  -H "Content-Type: application/json" \\\n  -d '${json}'`;
}

function copyable(text) {
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  });
  return [make("pre", { tabindex: "0" }, text), button];
}

function requestOf(api, content) {
  const name = nameOf(content.schema.$ref);
  const schema = api.components.schemas[name];
  const parts = [make("h3", {}, "Request"), make("p", {}, ...sentence(schema.description))];
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
  const isOpen = status === "200" ? { open: "" } : {};
  return make("details", isOpen, ...parts);
}

function titleOf(method, path) {
  return [make("span", { class: "method" }, method), " ", make("code", {}, `/v1${path}`)];
}

// shown: request types that an endpoint above has explained already.
function operationSection(api, path, method, operation, shown) {
  const content = operation.requestBody?.content["application/json"];
  const section = make("section", { id: operation.operationId });
  section.append(make("h2", {}, ...titleOf(method, path)), make("p", {}, operation.summary));
  if (operation.description) section.append(make("p", {}, ...sentence(operation.description)));
  section.append(...copyable(curlOf(method, path, content?.example)));
  const first = content && shown.get(content.schema.$ref);
  if (first) {
    const link = make("a", { href: `#${first}` }, first);
    section.append(make("p", {}, "Takes and gives the same as ", link, "."));
    return section;
  }
  if (content) {
    shown.set(content.schema.$ref, operation.operationId);
    section.append(...requestOf(api, content));
  }
  section.append(make("h3", {}, "Responses"));
  for (const [status, response] of Object.entries(operation.responses)) {
    section.append(responseOf(api, status, response));
  }
  return section;
}

function typeSection(name, schema) {
  const section = make("section", { id: name }, make("h2", {}, make("code", {}, name)));
  section.append(make("p", {}, ...sentence(schema.description)));
  section.append(fieldTable(schema, `Fields of ${name}`));
  return section;
}

function contentsOf(title, entries, isOpen) {
  const links = entries.map(([id, ...text]) => {
    return make("li", {}, make("a", { href: `#${id}` }, ...text));
  });
  const list = make("ul", {}, ...links);
  return make("details", isOpen ? { open: "" } : {}, make("summary", {}, title), list);
}

function show(api) {
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  const shown = new Map();
  const byTag = new Map();
  main.append(make("p", {}, ...sentence(api.info.description)));
  main.append(make("p", {}, `Version ${api.info.version}`));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      main.append(operationSection(api, path, method, operation, shown));
      const [tag] = operation.tags;
      const entry = [operation.operationId, ...titleOf(method, path)];
      byTag.set(tag, [...(byTag.get(tag) ?? []), entry]);
    }
  }
  const types = Object.entries(api.components.schemas);
  main.append(...types.map(([name, schema]) => typeSection(name, schema)));
  for (const [tag, entries] of byTag) contents.append(contentsOf(tag, entries, true));
  contents.append(contentsOf("Types", types.map(([name]) => [name, name]), false));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

async function load() {
  const status = document.getElementById("status");
  try {
    const response = await fetch("openapi.json");
    if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
    show(await response.json());
    status.remove();
  } catch (error) {
    status.textContent = `This page could not be made: ${error.message}`;
  }
}

load();
