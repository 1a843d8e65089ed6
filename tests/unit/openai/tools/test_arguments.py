"""What is kept of a schema that cannot be enforced as it is."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.tools.arguments import Function, any_object, arguments_expression
from pyserve.openai.tools.call_writer import Calls
from pyserve.openai.tools.formats import GENERIC
from pyserve.openai.tools.grammar import answer_grammar


def grammar(parameters, **fields) -> str:
    rules = JsonRules()
    expression = arguments_expression(Function("f", parameters, "tools.0", **fields), rules)
    return f"root ::= {expression}\n{rules.text()}"


@pytest.mark.parametrize(
    ("loose", "kept"),
    [
        ({"type": "string", "format": "regex"}, {"type": "string"}),
        ({"type": "string", "pattern": "(?<=x)"}, {"type": "string"}),
        (
            {"type": "array", "items": {"type": "null", "x": 1}, "uniqueItems": True},
            {"type": "array", "items": {"type": "null"}},
        ),
        ({"not": {}}, {}),
        ({"$ref": "#/nowhere"}, {}),
    ],
)
def test_what_cannot_be_enforced_is_left_out(loose, kept):
    def schema(part):
        return {"type": "object", "properties": {"a": part, "b": {"type": "integer"}}}

    assert grammar(schema(loose)) == grammar(schema(kept))


def test_a_schema_that_is_hopeless_allows_any_object():
    rules = JsonRules()
    anything = any_object(rules)
    assert grammar({"type": "object", "properties": 3, "required": 4}) == (
        f"root ::= {anything}\n{rules.text()}"
    )


def test_no_parameters_are_no_arguments_and_an_empty_schema_is_any():
    assert grammar(None) == grammar({"type": "object", "additionalProperties": False})
    assert grammar({}) == grammar({"type": "object"})


@pytest.mark.parametrize("kind", ["string", ["array", "null"]])
def test_arguments_are_objects(kind):
    with pytest.raises(InvalidRequestError) as caught:
        grammar({"type": kind})
    assert caught.value.param == "tools.0.parameters.type"


def test_schemas_that_are_too_large_together_are_loosened_unless_they_are_strict():
    def schema(i: int) -> dict[str, Any]:
        properties = {f"name{i}-{j}" + "x" * 300: {"type": "string"} for j in range(400)}
        return {"type": "object", "properties": properties}

    functions = [Function(f"f{i}", schema(i), f"tools.{i}.function") for i in range(8)]
    calls = Calls(GENERIC, functions, is_required=True, can_repeat=False)
    assert "name0-399" not in answer_grammar(None, calls, "")
    strict = {**schema(8), "additionalProperties": False}
    strict["required"] = list(strict["properties"])
    functions.append(Function("g", strict, "tools.8.function", is_strict=True))
    with pytest.raises(InvalidRequestError) as caught:
        answer_grammar(None, calls, "")
    assert caught.value.param == "tools.8.function"
