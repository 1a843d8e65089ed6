// Parameters: groups and controls of whatever the OpenAPI document has.

import assert from "node:assert/strict";
import { test } from "node:test";

import { groupsOf } from "../../../../pyserve/ui/settings/groups.js";
import { kindOf, textOf, valueOf } from "../../../../pyserve/ui/settings/kinds.js";

const orNull = (...schemas) => ({ anyOf: [...schemas, { type: "null" }] });
const number = orNull({ type: "number", minimum: 0, maximum: 2 });
const stop = orNull({ oneOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] });

test("schemas have controls", () => {
  const kinds = [
    [number, "number"],
    [orNull({ type: "integer" }), "integer"],
    [orNull({ type: "boolean" }), "boolean"],
    [orNull({ type: "string", enum: ["a"] }), "choice"],
    [orNull({ oneOf: [{ enum: ["a"] }, { $ref: "#/x" }, { type: "boolean" }] }), "choice"],
    [orNull({ type: "string" }), "text"],
    [stop, "lines"],
    [orNull({ type: "array", items: { type: "integer" } }), "json"],
    [orNull({ type: "object" }), "json"],
    [orNull({ $ref: "#/x" }), "json"],
  ];
  for (const [schema, kind] of kinds)
    assert.equal(kindOf(schema).kind, kind, JSON.stringify(schema));
});

test("texts become values, or say why not", () => {
  assert.equal(valueOf(kindOf(number), "0.5"), 0.5);
  assert.equal(valueOf(kindOf(number), " "), undefined);
  assert.throws(() => valueOf(kindOf(number), "3"), /at most 2/);
  assert.throws(() => valueOf(kindOf(number), "x"), /number/);
  assert.throws(() => valueOf({ kind: "integer" }, "1.5"), /whole/);
  assert.equal(valueOf({ kind: "choice", values: [true, "a"] }, "true"), true);
  assert.throws(() => valueOf({ kind: "json" }, "{"), /no JSON/);
  assert.deepEqual(valueOf(kindOf(stop), "a\\n\nb"), ["a\n", "b"]);
  assert.equal(textOf(kindOf(stop), ["a\n", "b\\"]), "a\\n\nb\\\\");
  assert.equal(textOf({ kind: "number" }, 0), "0");
});

test("every field is in one group, aliases in none", () => {
  const fields = Object.fromEntries(
    ["temperature", "new_one", "messages"].map((name) => [name, {}]),
  );
  fields.guided = { description: "The name that vLLM gives to regex." };
  const groups = groupsOf(fields);
  assert.deepEqual(groups, [
    ["Randomness", ["temperature"]],
    ["Everything else", ["new_one"]],
  ]);
});
