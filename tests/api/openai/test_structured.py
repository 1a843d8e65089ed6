"""Constraints of an answer: what the engine is asked for, and what is refused."""

from __future__ import annotations

import pytest

from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, chat_body, error_of

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
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
    age = {"type": "integer", "multipleOf": 5}
    schema = {"type": "object", "properties": {"age": age}}
    value = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    assert refusal(front, {"response_format": value}) == (
        "response_format.json_schema.schema.properties.age.multipleOf",
        "invalid_schema",
    )
    assert refusal(front, {"guided_json": {"not": {}}}) == ("guided_json.not", "invalid_schema")


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
        ({"json_schema": {"description": "x" * 70000}}, "json_schema"),
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
        ({"structured_outputs": {"json": {"not": {}}}}, "structured_outputs.json.not"),
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
    bad = {**text_format, "schema": {"not": {}}}
    response = front.post(RESPONSES, {"input": "x", "text": {"format": bad}})
    assert error_of(response)["param"] == "text.format.schema.not"


def test_a_schema_can_be_checked_without_a_model(front):
    good = front.post("/v1/schema/check", {"schema": SCHEMA}).get_json()
    assert good["ok"]
    assert good["unsupported"] == []
    assert good["grammar_bytes"] > 0 < good["n_rules"]
    bad = front.post("/v1/schema/check", {"schema": {"items": {"format": "x"}}}).get_json()
    assert not bad["ok"]
    assert [(u["path"], u["keyword"]) for u in bad["unsupported"]] == [("items", "format")]
    response = front.post("/v1/schema/check", {"schema": 5})
    assert error_of(response)["param"] == "schema"
