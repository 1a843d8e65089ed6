"""What models write for values that are no texts, by the types that their schemas allow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.value_texts import as_json
from pyserve.openai.tools.value_types import types_of, value_types

BOOLEAN: dict[str, Any] = {"type": "boolean"}
INTEGER: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
NULLABLE: dict[str, Any] = {"anyOf": [INTEGER, {"type": "null"}]}
OBJECT: dict[str, Any] = {"type": "object"}
ARRAY: dict[str, Any] = {"type": "array"}
ROWS: list[tuple[dict[str, Any], str, Any]] = [
    *((BOOLEAN, text, False) for text in ("false", "False", "FALSE", " false\n", '"false"')),
    ({"enum": [True, False]}, "TRUE", True),
    (BOOLEAN, "no", "no"),
    *((INTEGER, text, 1234) for text in ("1234", " 1234 ", "+1234", "1 234", "1,234", "1_234")),
    *((INTEGER, text, 7) for text in ("07", "7.0", "7.", '"7"')),
    (INTEGER, "- 7", -7),
    (INTEGER, "0", 0),
    (INTEGER, "1 2", "1 2"),
    (INTEGER, "٣", "٣"),
    (INTEGER, "9" * 100, int("9" * 100)),
    (NUMBER, ".5", 0.5),
    (NUMBER, "-2.", -2.0),
    (NUMBER, "1 234.5", 1234.5),
    (NUMBER, "1,5", "1,5"),
    (NUMBER, "1e3", 1000.0),
    (NUMBER, "NaN", "NaN"),
    *((NULLABLE, text, None) for text in ("null", "None", "NULL", "")),
    (NULLABLE, "+3", 3),
    (OBJECT, "{'a': None, \"b\": [True]}", {"a": None, "b": [True]}),
    (OBJECT, "{a: 1, 'b': true}", {"a": 1, "b": True}),
    (OBJECT, '"{\\"a\\": 1}"', {"a": 1}),
    (OBJECT, "", {}),
    (ARRAY, "", []),
    (ARRAY, "[1, 2", "[1, 2"),
    (ARRAY, "a, b", "a, b"),
    # Texts are allowed as well, or nothing is known: what is no JSON is a text.
    ({"type": ["string", "integer"]}, "007", "007"),
    ({"type": ["string", "boolean"]}, "FALSE", "FALSE"),
    ({}, "FALSE", "FALSE"),
    ({}, "True", True),
    ({}, "12", 12),
]


@pytest.mark.parametrize(("schema", "text", "expected"), ROWS)
def test_it_becomes_what_the_schema_allows(schema: dict[str, Any], text: str, expected: Any):
    found = json.loads(as_json(text, types_of(schema)))
    assert (type(found), found) == (type(expected), expected)


def test_long_digits_take_no_longer_than_their_length():
    assert json.loads(as_json("0" * 200_000 + "x", types_of(INTEGER)))[-1] == "x"


def test_types_are_known_by_their_places():
    parameters = {
        "properties": {
            "a": {"type": "array", "items": {"properties": {"x": INTEGER}, "type": "object"}},
            "b": {"oneOf": [{"enum": ["p", "q"]}, {"const": None}]},
            "c": {"anyOf": [INTEGER, {}]},
        }
    }
    assert value_types(Function("f", parameters, "tools.0")) == {
        ("f", "a"): {"array"},
        ("f", "a", "item"): {"object"},
        ("f", "a", "item", "x"): {"integer"},
        ("f", "b"): {"string", "null"},
    }
