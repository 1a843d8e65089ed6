"""Constraints of an answer: what the engine is asked for, and what is refused."""

from __future__ import annotations

import json

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, chat_body, error_of

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
NAMED = {"name": "person", "schema": SCHEMA}


def grammar_for(front, fields, path=CHAT):
    shapes = {CHAT: chat_body(), COMPLETIONS: {"prompt": "p"}, EDITS: {"instruction": "i"}}
    body = {**shapes[path], **fields}
    response = front.post(path, body)
    assert response.status_code == 200, response.text
    return front.core.requests[-1].grammar


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EDITS])
@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
        {"response_format": {"type": "json_schema", "json_schema": NAMED}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "any"}}},
        {"json_schema": SCHEMA},
        {"guided_json": SCHEMA},
        {"guided_json": '{"type": "null"}'},
        {"regex": "[ab]+"},
        {"guided_regex": "[ab]+"},
        {"choice": ["yes", "no"]},
        {"guided_choice": ["yes", "no"]},
        {"grammar": 'root ::= "x"'},
        {"guided_grammar": 'root ::= "x"'},
        {"ebnf": 'root ::= "x"'},
        {"structured_outputs": {"json": SCHEMA}},
        {"structured_outputs": {"json_object": True}},
        {"structured_outputs": {"regex": "[ab]+"}},
        {"structured_outputs": {"choice": ["yes", "no"]}},
        {"structured_outputs": {"grammar": 'root ::= "x"'}},
        {"format": "json"},
        {"format": SCHEMA},
    ],
)
def test_a_constraint_becomes_a_grammar(front, path, fields):
    assert "root ::= " in grammar_for(front, fields, path)


@pytest.mark.parametrize(
    "fields",
    [{}, {"response_format": {"type": "text"}}, {"grammar": ""}, {"format": ""}],
)
def test_no_constraint_is_no_grammar(front, fields):
    assert grammar_for(front, fields) == ""


def refusal(front, fields):
    response = front.post(CHAT, chat_body(**fields))
    assert response.status_code == 400
    error = error_of(response)
    return error["param"], error["code"]


def test_an_unsupported_keyword_is_named_by_its_path(front):
    age = {"type": "integer", "not": {"const": 5}}
    schema = {**CLOSED, "properties": {"age": age}}
    named = {"name": "person", "schema": schema, "strict": True}
    value = {"type": "json_schema", "json_schema": named}
    assert refusal(front, {"response_format": value}) == (
        "response_format.json_schema.schema.properties.age.not",
        "invalid_schema",
    )
    assert refusal(front, {"guided_json": {"type": 5}}) == ("guided_json.type", "invalid_schema")


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EDITS])
@pytest.mark.parametrize(("text", "found"), [('{"age":5}', True), ('{"age":4}', False)])
def test_what_is_not_enforced_is_named_and_the_answer_is_checked(start, path, text, found):
    schema = {**SCHEMA, "properties": {"age": {"type": "integer", "not": {"const": 5}}}}
    front = start(FakeScript(texts=(text,)))
    shapes = {CHAT: chat_body(), COMPLETIONS: {"prompt": "p"}, EDITS: {"instruction": "i"}}
    response = front.post(path, {**shapes[path], "json_schema": schema})
    assert response.headers["X-Unenforced"] == "$.properties.age.not"
    violation = response.get_json()["choices"][0].get("schema_violation")
    assert (violation is not None) == found
    if found:
        assert violation["path"] == "$.age"
        assert "5" in violation["message"]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_violation_stands_in_the_last_chunk_of_a_stream(start, path):
    front = start(FakeScript(texts=('{"age":5}',)))
    schema = {**SCHEMA, "properties": {"age": {"type": "integer", "not": {"const": 5}}}}
    shape = chat_body() if path == CHAT else {"prompt": "p"}
    response = front.post(path, {**shape, "json_schema": schema, "stream": True})
    assert response.headers["X-Unenforced"] == "$.properties.age.not"
    chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line[:7] == "data: {"]
    said = [choice.get("schema_violation") for chunk in chunks for choice in chunk["choices"]]
    assert said[-1]["path"] == "$.age"
    assert not any(said[:-1])


@pytest.mark.parametrize("stream", [False, True])
def test_a_violation_stands_in_a_response(start, stream):
    front = start(FakeScript(texts=('{"age":5}',)))
    schema = {**SCHEMA, "not": {"required": ["age"]}}
    text = {"format": {"type": "json_schema", "name": "p", "schema": schema}}
    response = front.post(RESPONSES, {"input": "x", "text": text, "stream": stream})
    assert response.headers["X-Unenforced"] == "$.not"
    if stream:
        lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
        body = json.loads(lines[-1][6:])["response"]
    else:
        body = response.get_json()
    assert body["schema_violation"]["path"] == "$"


def test_calls_are_checked_against_what_their_schemas_do_not_enforce(start):
    call = '<tool_call>\n{"name": "f", "arguments": {"age": 5}}\n</tool_call>'
    front = start(FakeScript(texts=(call,)))
    function = {"name": "f", "parameters": {**SCHEMA, "not": {"required": ["age"]}}}
    tools = [{"type": "function", "function": function}]
    response = front.post(CHAT, chat_body(tools=tools))
    assert response.headers["X-Unenforced"] == "tools.0.function.parameters.not"
    choice = response.get_json()["choices"][0]
    assert choice["schema_violation"]["path"] == "$.tool_calls[0].function.arguments"


def test_an_answer_that_was_cut_is_not_checked(start):
    front = start(FakeScript(texts=("one two three four five",)))
    choice = front.post(CHAT, chat_body(json_schema={"not": {}}, max_tokens=1)).get_json()[
        "choices"
    ][0]
    assert choice["finish_reason"] == "length"
    assert "schema_violation" not in choice


def test_strict_is_openai_s(front):
    value = {"type": "json_schema", "json_schema": {**NAMED, "strict": True}}
    assert refusal(front, {"response_format": value}) == (
        "response_format.json_schema.schema.additionalProperties",
        "invalid_schema",
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"regex": "a", "choice": ["a"]}, "choice"),
        ({"response_format": {"type": "json_object"}, "grammar": 'root ::= "x"'}, "grammar"),
        ({"regex": "(a"}, "regex"),
        ({"choice": []}, "choice"),
        ({"choice": [""]}, "choice.0"),
        ({"grammar": "x" * 70000}, "grammar"),
        ({"json_schema": {"description": "x" * 270000}}, "json_schema"),
        ({"guided_json": "{"}, "guided_json"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
            "response_format.json_schema.name",
        ),
        ({"response_format": {"type": "text", "schema": {}}}, "response_format.schema"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"json": {}, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "(a"}}, "structured_outputs.regex"),
        ({"structured_outputs": {"json": {"enum": 5}}}, "structured_outputs.json.enum"),
        ({"format": "xml"}, "format"),
    ],
)
def test_nonsense_is_refused(front, fields, param):
    assert refusal(front, fields)[0] == param


def test_the_format_of_a_response_is_held_to_and_repeated(front):
    text_format = {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": False}
    body = front.post(RESPONSES, {"input": "x", "text": {"format": text_format}}).get_json()
    assert "age" in front.core.requests[-1].grammar
    assert body["text"]["format"] == {**text_format, "description": None}
    front.post(RESPONSES, {"input": "x", "text": {"format": {"type": "json_object"}}})
    assert front.core.requests[-1].grammar
    bad = {**text_format, "schema": {"allOf": []}}
    response = front.post(RESPONSES, {"input": "x", "text": {"format": bad}})
    assert error_of(response)["param"] == "text.format.schema.allOf"


def test_a_schema_can_be_checked_without_a_model(front):
    good = front.post("/v1/schema/check", {"schema": SCHEMA}).get_json()
    assert good["ok"]
    assert good["unsupported"] == []
    assert good["grammar_bytes"] > 0 < good["n_rules"]
    schema = {"items": {"format": "x"}}
    loose = front.post("/v1/schema/check", {"schema": schema}).get_json()
    assert loose["ok"]
    assert loose["unenforced"] == ["$.items.format"]
    strict = front.post("/v1/schema/check", {"schema": schema, "strict": True}).get_json()
    assert not strict["ok"]
    assert [(u["path"], u["keyword"]) for u in strict["unsupported"]] == [("items", "format")]
    bad = front.post("/v1/schema/check", {"schema": {"items": {"type": "x"}}}).get_json()
    assert [(u["path"], u["keyword"]) for u in bad["unsupported"]] == [("items", "type")]
    response = front.post("/v1/schema/check", {"schema": 5})
    assert error_of(response)["param"] == "schema"
