// Conversations: trees, requests, answers, files, snippets.

import assert from "node:assert/strict";
import { test } from "node:test";

import { progressText } from "../../../../pyserve/ui/chat/cost.js";
import { AnswerReader } from "../../../../pyserve/ui/chat/reader.js";
import { bodyOf, newSettings, withFiles } from "../../../../pyserve/ui/chat/request.js";
import { exported, imported } from "../../../../pyserve/ui/chat/transfer.js";
import { Tree } from "../../../../pyserve/ui/chat/tree.js";
import { rootOf } from "../../../../pyserve/ui/core/place.js";
import { curlOf, pythonOf, pythonValue } from "../../../../pyserve/ui/core/snippets.js";
import { EventReader } from "../../../../pyserve/ui/core/sse.js";

const message = (id, parent, created) => ({ id, parent, created, role: "user", content: id });

test("a tree has paths, versions and branches", () => {
  const tree = new Tree([
    message("b", "a", 2),
    message("a", null, 1),
    message("c", "a", 3),
    message("d", "c", 4),
  ]);
  assert.deepEqual(
    tree.pathTo("d").map(({ id }) => id),
    ["a", "c", "d"],
  );
  assert.deepEqual(tree.siblings("b"), ["b", "c"]);
  assert.equal(tree.newestBelow("a"), "d");
  assert.deepEqual(tree.remove("c").sort(), ["c", "d"]);
  assert.deepEqual(tree.siblings("b"), ["b"]);
  assert.deepEqual(tree.pathTo("gone"), []);
});

test("a circle of parents ends", () => {
  const tree = new Tree([message("a", "b", 1), message("b", "a", 2)]);
  assert.equal(tree.pathTo("a").length, 2);
});

test("events are read however they are cut", () => {
  const text = ': queued\n\ndata: {"a":1}\r\n\r\ndata: b\ndata: c\n\n';
  const whole = new EventReader().push(text);
  assert.deepEqual(
    whole.map(({ data }) => data),
    ["", '{"a":1}', "b\nc"],
  );
  for (let n = 0; n <= text.length; n += 1) {
    const reader = new EventReader();
    assert.deepEqual([...reader.push(text.slice(0, n)), ...reader.push(text.slice(n))], whole);
  }
});

test("an answer grows out of chunks", () => {
  const reader = new AnswerReader();
  const delta = (change, more = {}) => ({ choices: [{ delta: change, ...more }] });
  reader.comment("queued position=2 of=3 eta=4s");
  assert.equal(reader.waiting, "waiting: place 2 of 3, about 4 s");
  reader.chunk(delta({ reasoning_content: "hm" }));
  const logprobs = {
    content: [{ token: "a", logprob: 0, top_logprobs: [{ token: "b", logprob: -1 }] }],
  };
  reader.chunk(delta({ content: "a" }, { logprobs }));
  reader.chunk(
    delta({ tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "{" } }] }),
  );
  reader.chunk(
    delta(
      { tool_calls: [{ index: 0, function: { arguments: "}" } }] },
      { finish_reason: "tool_calls" },
    ),
  );
  reader.chunk({ choices: [], usage: { completion_tokens: 3 } });
  assert.equal(reader.reasoning + reader.content, "hma");
  assert.deepEqual(reader.calls, [{ id: "c", name: "f", arguments: "{}" }]);
  assert.equal(reader.tokens[0].p, 1);
  assert.equal(reader.finish, "tool_calls");
  assert.equal(reader.usage.completion_tokens, 3);
});

test("a body has what the settings say, and nothing else", () => {
  const turns = [
    { role: "user", content: "q" },
    { role: "assistant", content: "" },
  ];
  const plain = bodyOf({ ...newSettings(), model: "m" }, turns);
  assert.deepEqual(plain, { model: "m", messages: [{ role: "user", content: "q" }] });
  const calls = [{ id: "c", name: "f", arguments: "{}" }];
  const full = bodyOf(
    {
      model: "m",
      system: " s ",
      params: { temperature: 0 },
      format: { kind: "schema", text: '{"type":"object"}' },
      tools: { text: '[{"name":"f"}]', choice: "required" },
      hasProbabilities: true,
    },
    [
      ...turns,
      { role: "assistant", content: "", calls },
      { role: "tool", content: "r", callId: "c" },
    ],
  );
  assert.deepEqual(
    full.messages.map(({ role }) => role),
    ["system", "user", "assistant", "tool"],
  );
  assert.equal(full.messages[3].tool_call_id, "c");
  assert.deepEqual(full.tools, [{ type: "function", function: { name: "f" } }]);
  assert.equal(full.tool_choice, "required");
  assert.equal(full.response_format.json_schema.schema.type, "object");
  assert.equal(full.logprobs, true);
});

test("of a long conversation the newest turns are sent", () => {
  const turns = Array.from({ length: 5000 }, (_, i) => ({
    role: i % 2 ? "assistant" : "user",
    content: `${i}`,
  }));
  const { messages } = bodyOf({ ...newSettings(), system: "s" }, turns.slice(0, 4999));
  assert.equal(messages[0].role, "system");
  assert.equal(messages[1].role, "user");
  assert.equal(messages.at(-1).content, "4998");
  assert.equal(messages.length, 2000);
});

test("settings that are no JSON are named", () => {
  const settings = newSettings();
  assert.throws(
    () => bodyOf({ ...settings, tools: { text: "{", choice: "auto" } }, []),
    /^Error: Tools: /,
  );
  assert.throws(() => bodyOf({ ...settings, tools: { text: "{}", choice: "auto" } }, []), /list/);
  assert.throws(
    () => bodyOf({ ...settings, format: { kind: "schema", text: "x" } }, []),
    /JSON schema: /,
  );
});

test("a file cannot close its fence", () => {
  const text = withFiles("q", [{ name: 'a"b', text: "````\nx\n" }]);
  assert.ok(text.startsWith('File "a\\"b":\n`````\n````\nx\n`````\n\nq'));
});

test("conversations survive export and import, with other ids", () => {
  const messages = [
    message("a", null, 1),
    { ...message("b", "a", 2), role: "assistant", files: [{}], extra: 1 },
  ];
  const conversation = {
    id: "x",
    title: "t",
    created: 1,
    updated: 2,
    leaf: "b",
    settings: newSettings(),
  };
  let n = 0;
  const [entry] = imported(
    exported([{ conversation, messages }]),
    () => `id${(n += 1)}`,
    newSettings(),
  );
  const tree = new Tree(entry.messages);
  assert.deepEqual(
    tree.pathTo(entry.conversation.leaf).map(({ content }) => content),
    ["a", "b"],
  );
  assert.equal(entry.messages[1].extra, undefined);
  assert.deepEqual(entry.messages[1].files, []);
  assert.ok(entry.messages.every(({ conversation: id }) => id === entry.conversation.id));
});

test("files of others are refused or made harmless", () => {
  const read = (data) => imported(JSON.stringify(data), () => "id", newSettings());
  assert.throws(() => imported("{", () => "id", {}), /no JSON/);
  for (const data of [null, [], {}, { format: "other", conversations: [] }]) {
    assert.throws(() => read(data), /no conversations/);
  }
  const format = "pyserve-conversations";
  assert.throws(() => read({ format, conversations: [{}] }), /damaged/);
  assert.throws(() => read({ format, conversations: [null] }));
  const bad = [{ id: 1, role: "<img>", content: "" }];
  assert.throws(
    () => read({ format, conversations: [{ conversation: {}, messages: bad }] }),
    /damaged/,
  );
  const odd = { settings: { params: [], system: 5, tools: "x" }, title: {}, leaf: "none" };
  const [{ conversation }] = read({ format, conversations: [{ conversation: odd, messages: [] }] });
  assert.deepEqual(conversation.settings, newSettings());
  assert.equal(conversation.title, "Imported");
});

test("snippets quote what they show", () => {
  const body = {
    model: "m",
    prompt: 'it\'s "x"\n',
    top_k: 3,
    seed: null,
    stop: ["a"],
    logit_bias: {},
  };
  const curl = curlOf("http://h/v1", "completions", body, true);
  assert.ok(curl.includes("'\\''") && curl.includes("$PYSERVE_API_KEY"));
  const python = pythonOf("http://h/v1", "completions", body, false);
  assert.ok(python.includes('prompt="it\'s \\"x\\"\\n"'));
  assert.ok(python.includes('extra_body={\n        "top_k": 3,'));
  assert.equal(pythonValue([true, null, {}]), "[\n    True,\n    None,\n    {},\n]");
  assert.ok(pythonOf("http://h/v1", "edits", body, true).includes("httpx.post"));
});

test("the root of the server is found from each page, also below a prefix", () => {
  for (const [path, root] of [
    ["/", "/"],
    ["/v1", "/"],
    ["/v1/", "/"],
    ["/docs", "/"],
    ["/v1/docs", "/"],
    ["/llm/", "/llm/"],
    ["/a/llm/v1/", "/a/llm/"],
    ["/llm/docs", "/llm/"],
    ["/llm/v1/docs", "/llm/"],
  ]) {
    assert.equal(rootOf(path), root, path);
  }
});

test("what is said of an answer of which nothing has come names a model that is being loaded", () => {
  const reader = new AnswerReader();
  assert.equal(progressText(reader, 400, "ready"), "waiting …");
  assert.equal(progressText(reader, 400, "loading"), "loading the model …");
  assert.match(progressText(reader, 5000, "loading"), /^loading the model: 5/);
  assert.ok(reader.isSilent);
  reader.chunk({ choices: [], prompt_progress: { processed: 256, total: 1024 } });
  assert.match(progressText(reader, 5000, "loading"), /^reading the prompt: 256 of 1.?024 tokens/);
  assert.ok(!reader.isSilent);
});
