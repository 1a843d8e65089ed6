"""Which tools become functions, and what is chosen of them."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.openai.responses.offer import ToolName, tool_offer
from pyserve.schemas.responses import ResponseRequest

F = {"type": "function", "name": "f", "description": "d", "strict": True}
C = {"type": "custom", "name": "c"}
NS = {"type": "namespace", "name": "crm", "description": "x", "tools": [F, C]}
LARK = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}


def body(**fields: Any) -> ResponseRequest:
    return ResponseRequest.model_validate({"input": "hi", **fields})


def test_each_kind_of_tool_becomes_a_function():
    found = tool_offer(body(tools=[F, C, NS]))
    assert list(found.names) == ["f", "c", "crm__f", "crm__c"]
    assert found.names["crm__c"] == ToolName("custom", "c", "crm")
    function, custom, *_ = found.offer.functions
    assert (function.strict, function.description) == (True, "d")
    assert custom.parameters == {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
        "additionalProperties": False,
    }
    assert found.offer.params == ["tools.0", "tools.1", "tools.2.tools.0", "tools.2.tools.1"]


def test_tools_of_items_are_offered_too():
    items = [{"role": "user", "content": "x"}, {"type": "additional_tools", "tools": [C]}]
    found = tool_offer(body(tools=[F], input=items))
    assert (list(found.names), found.offer.params) == (["f", "c"], ["tools.0", "input.1.tools.0"])


def test_what_cannot_be_offered_is_named_once():
    tools = [{"type": "web_search"}, F, {"type": "mcp"}, {"type": "web_search"}]
    found = tool_offer(body(tools=tools))
    assert (found.ignored, list(found.names)) == (("web_search", "mcp"), ["f"])
    with pytest.raises(InvalidRequestError) as caught:
        tool_offer(body(tools=tools), is_strict=True)
    assert (caught.value.code, caught.value.param) == ("unsupported_tool", "tools.0")


@pytest.mark.parametrize("form", [LARK, {**LARK, "syntax": "regex", "definition": "(?=a)a|b+"}])
def test_a_format_is_enforced_and_described(form):
    found = tool_offer(body(tools=[{**C, "description": "Do.", "format": form}]))
    (function,) = found.offer.callable_functions()
    assert function.input.definition == form["definition"]
    kind = "Lark grammar" if form == LARK else "regular expression"
    (shown,) = found.offer.functions
    assert shown.description == f"Do.\n\n`input` is a text of this {kind}:\n{form['definition']}"


@pytest.mark.parametrize(
    ("syntax", "definition", "place"),
    [
        ("lark", 'start: "a"\n\n  b: c', "line 3, column 6"),
        ("lark", "start: /a(/", "line 1, column 11"),
        ("regex", "a(b", "line 1, column 4"),
        ("regex", "a\n(?<=b)", "line 2, column 4"),
    ],
)
def test_a_format_that_cannot_be_enforced_is_refused_with_its_place(syntax, definition, place):
    form = {"type": "grammar", "syntax": syntax, "definition": definition}
    with pytest.raises(InvalidRequestError, match=place) as caught:
        tool_offer(body(tools=[{**C, "format": form}]))
    assert caught.value.param == "tools.0.format.definition"


@pytest.mark.parametrize(
    ("choice", "mode", "allowed"),
    [
        (None, "auto", None),
        ("required", "required", None),
        ({"type": "function", "name": "f"}, "required", {"f"}),
        ({"type": "custom", "name": "c"}, "required", {"c"}),
        ({"type": "custom", "custom": {"name": "c"}}, "required", {"c"}),
        ({"type": "function", "name": "f", "namespace": "crm"}, "required", {"crm__f"}),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "custom", "name": "c"}, {"type": "web_search"}],
            },
            "auto",
            {"c"},
        ),
    ],
)
def test_a_choice_restricts_the_offer(choice, mode, allowed):
    offer = tool_offer(body(tools=[F, C, NS], tool_choice=choice)).offer
    assert (offer.mode, offer.allowed) == (mode, allowed)


@pytest.mark.parametrize(
    ("tools", "choice", "code"),
    [
        ([{"type": "mcp"}], "required", "unsupported_tool"),
        ([], "required", "invalid_value"),
        ([F], {"type": "web_search"}, "unsupported_tool"),
        ([F], {"type": "function", "name": "g"}, "unsupported_tool"),
        ([F], {"type": "custom", "name": "f"}, "unsupported_tool"),
        (
            [F],
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]},
            "unsupported_tool",
        ),
    ],
)
def test_a_choice_of_what_is_not_offered_is_refused(tools, choice, code):
    with pytest.raises(InvalidRequestError) as caught:
        tool_offer(body(tools=tools, tool_choice=choice))
    assert (caught.value.code, caught.value.param) == (code, "tool_choice")


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([F, F], "tools.1.name"),
        ([{**F, "name": "crm__f"}, NS], "tools.1.tools.0.name"),
        ([{**NS, "name": "n" * 62}], "tools.0.tools.0.name"),
    ],
)
def test_names_are_unique_and_fit(tools, param):
    with pytest.raises(InvalidRequestError) as caught:
        tool_offer(body(tools=tools))
    assert caught.value.param == param
