"""Schemas, grammars and tools that cannot be obeyed, or not in time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hostile.conftest import CHAT, Target, check_refusal, rows

FORMAT = "response_format"
ROOT = "root ::= "
LETTERS = "[a-z]"


def nested(keyword: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {keyword: [schema]}
    return schema


def doubling(keyword: str) -> dict[str, Any]:
    """Two ways at each of 30 steps."""
    steps = {f"a{i}": {keyword: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
    return {"$defs": {**steps, "a30": {"type": "null"}}, "$ref": "#/$defs/a0"}


def members(n: int, length: int = 1, **more: Any) -> dict[str, Any]:
    names = [f"p{i}" * length for i in range(n)]
    return {"type": "object", "properties": {name: {"type": "null"} for name in names}, **more}


def required(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "null"}}, "required": [name]}


def recursive(name: str) -> dict[str, Any]:
    return {"type": "object", "required": ["x"], "properties": {"x": {"$ref": f"#/$defs/{name}"}}}


TWINS = {
    "$defs": {"a": recursive("a"), "b": recursive("b")},
    "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
}
LOOP = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
BAD_SCHEMAS: list[tuple[str, Any]] = [
    *((f"type {kind!r}", {"type": kind}) for kind in (123, "hiccup", [], {}, [[]])),
    ("no object", 123),
    ("itself", {"$ref": "#"}),
    ("each other", {"$defs": LOOP, "$ref": "#/$defs/a"}),
    *(
        (f"reference {target!r:.40}", {"$ref": target})
        for target in (
            *("http://127.0.0.1:1/x", "file:///etc/passwd", "#/nope", "#/$defs/x", 5, "", "#/a/~2"),
            *("#/" + "9" * 5000, "https://example.com/s.json"),
        )
    ),
    *((f"{k} of itself", {k: [{"$ref": "#"}]}) for k in ("anyOf", "allOf", "oneOf")),
    *((f"{k} of nothing", {k: []}) for k in ("anyOf", "allOf", "oneOf")),
    *((f"{k} of no list", {k: 5}) for k in ("anyOf", "allOf", "oneOf")),
    ("oneOf of numbers for types", {"oneOf": [{"type": 5}, {"type": 6}]}),
    ("oneOf of a number for an enum", {"oneOf": [{"enum": 5}, {"type": "null"}]}),
    ("9,000 required names", {"type": "object", "required": [f"p{i}" for i in range(9000)]}),
    *(
        (f"limits {limits}", {"type": kind, **limits})
        for kind, limits in (
            ("array", {"minItems": 5, "maxItems": 2}),
            *(("string", {"maxLength": -1}), ("string", {"minLength": 5, "maxLength": 2})),
            *(("string", {"minLength": 1.5}), ("string", {"maxLength": "5"})),
        )
    ),
    *(
        (f"integer limits {limits}", {"type": "integer", **limits})
        for limits in (
            {"multipleOf": 0},
            *({"minimum": 5, "maximum": 2}, {"minimum": "5"}, {"minimum": True}),
            {"exclusiveMinimum": 5, "exclusiveMaximum": 6},
        )
    ),
    ("pattern that is none", {"type": "string", "pattern": 5}),
    ("enum of nothing", {"enum": []}),
    ("enum of 100,000", {"enum": list(range(100_000))}),
    ("enum that is none", {"enum": 5}),
    ("const beside it", {"enum": 5, "const": 5}),
    ("const of 1 MB", {"const": "x" * 10**6}),
    ("name of 1 MB", required("x" * 10**6)),
]  # fmt: skip
# What no grammar says of these is checked afterwards.
HARD_SCHEMAS: list[tuple[str, Any]] = [
    *((f"{k} 10,000 wide", {k: [{}] * 10_000}) for k in ("anyOf", "allOf", "oneOf")),
    ("oneOf of two that contain themselves", {**TWINS, "not": {"const": 5}}),
    ("oneOf of the same", {"oneOf": [{"type": "string"}] * 3000}),
    ("2^30 ways", {**doubling("anyOf"), "not": {"const": 5}}),
    ("2^30 ways, none", {"type": "null", "not": doubling("oneOf")}),
    ("2^30 ways, all of them", {**doubling("allOf"), "not": {"const": 5}}),
    ("9^40 ways", {"allOf": [
        {"anyOf": [{"minLength": 9 * i + j} for j in range(9)]} for i in range(40)
    ]}),
    ("2,000 members", members(2000)),
    ("any member but 512 long ones", members(512, 20, additionalProperties=True)),
    ("any member but one of 5,000 characters", {
        "type": "object", "properties": {"x" * 5000: {}}, "additionalProperties": True,
    }),
    *(
        (f"limits {limits}", limits)
        for limits in (
            *({"minItems": 10**9}, {"maxItems": 10**9}, {"minLength": 2**31}, {"multipleOf": 7}),
            *({"minimum": 2**70}, {"minimum": 1e308}, {"multipleOf": 1e-300}),
            *({"multipleOf": 999_999_937}, {"minimum": -(10**60)}, {"maxLength": 10**18}),
            *({"maxProperties": 10**9}, {"minProperties": 10**9}, {"minContains": 10**9}),
        )
    ),
    *(
        (f"pattern {pattern!r:.40}", {"type": "string", "pattern": pattern, "maxLength": 3000})
        for pattern in (
            *("[", r"^(a)\1$", "^(?=a)a$", "^\\", "^[z-a]$", "^a**$", "(a+)+$", "a{1,1000000}"),
            *("^" + "(" * 101 + "a" + ")" * 101 + "$", "^" + "a" * 5000 + "$"),
            *("(a|b)*a(a|b){20}$", "^((a{1,500}){1,500}b){1,500}$", "(?!(.*x.*y.*z){9})^.*$"),
        )
    ),
]  # fmt: skip
GOOD_SCHEMAS: list[tuple[str, Any]] = [
    ("an object of itself", {"type": "object", "properties": {"a": {"$ref": "#"}}}),
    *((f"{keyword} 20 deep", nested(keyword, 20)) for keyword in ("anyOf", "allOf", "oneOf")),
    ("oneOf of 3,000 constants", {"oneOf": [{"const": i} for i in range(3000)]}),
    ("200 members", members(200)),
    ("any member but 100", members(100, additionalProperties=True)),
    ("all of int64", {"type": "integer", "minimum": -(10**15), "maximum": 10**15}),
    ("a? 60 times", {"type": "string", "pattern": "^" + "a?" * 60 + "a" * 60 + "$"}),
    ("enum of 5,000", {"enum": list(range(5000))}),
    ("const 50 deep", {"const": json.loads("[" * 50 + "]" * 50)}),
    *(
        (f"property {name!r}", required(name))
        for name in ('a"b', "a\nb", "\0", "", "\\", "a]b", "$ref")
    ),
]
BAD_GRAMMARS = [
    ("no root", 'x ::= "a"'),
    ("undefined rule", ROOT + "b"),
    ("itself", ROOT + "root"),
    ("left recursion over two rules", ROOT + 'a\na ::= b\nb ::= a "x"'),
    ("left recursion behind nothing", ROOT + 'a root\na ::= ""'),
    ("60,000 parentheses", ROOT + "(" * 60_000),
    ("20,000 pairs of them", ROOT + "(" * 20_000 + '"a"' + ")" * 20_000),
    ("open literal", ROOT + '"a'),
    ("open class", ROOT + "[a"),
    ("escape of no digits", ROOT + r'"\xZZ"'),
    ("unknown escape", ROOT + r'"\q"'),
    ("NUL", ROOT + '"\0"'),
    ("no such token", ROOT + "<[999999999]>"),
    ("no such token name", ROOT + "<nope>"),
    ("only spaces", "   "),
    ("3 MB", ROOT + "x" * 3_000_000),
    ("repeated less than never", ROOT + '"a"{-1}'),
    ("repeated 2 to 1 times", ROOT + '"a"{2,1}'),
    ("no character", ROOT + r'"\U0011FFFF"'),
    ("repeated a million times", ROOT + '("a" "b"){1000000}'),
]
AMBIGUOUS = [
    ("two readings, 20 times", ROOT + '("a" | "a")* ' * 20),
    ("lengths of runs", ROOT + 'x x x x x x x x\nx ::= ("a" | "a" "a" | "a" "a" "a")*'),
    ("stars of stars", ROOT + '(("a"*)* "a"?)* ' * 20),
    ("trees", ROOT + 's\ns ::= "a" | "a" s | "a" s s | "a" s s s'),
]


def tool(**function: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **function}}


BAD_TOOLS: list[tuple[str, Any]] = [
    ("10,000", [tool(name=f"f{i}") for i in range(10_000)]),
    *((f"tool {name!r:.20}", [tool(name=name)]) for name in ("", "a b", "x" * 10**6, "\u00fc", 5)),
    *((f"parameters {value!r}", [tool(parameters=value)]) for value in ([], "x", 5)),
    ("one name twice", [tool(), tool()]),
    *((f"tools {value!r}", value) for value in ("x", [1], [{}], [None], [{"type": "web_search"}])),
]
BAD_CHOICES = [
    *("f", {"type": "function", "function": {"name": "g"}}, {"type": "function"}, 5, []),
    *({"type": "x"}, "{", '{"type":1}', {"type": "allowed_tools"}),
]


def formatted(schema: Any) -> dict[str, Any]:
    return {FORMAT: {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


@pytest.mark.parametrize(
    "value",
    [{"type": "sound"}, {"type": "json_schema"}, {}, "json", 5, {"type": ["json_object"]}],
    ids=repr,
)
def test_formats_that_are_none(target: Target, value: Any) -> None:
    response = target.ask(CHAT, response_format=value)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith(FORMAT)


@pytest.mark.parametrize("schema", rows(BAD_SCHEMAS))
def test_schemas_that_cannot_be_obeyed(target: Target, schema: Any) -> None:
    response = target.ask(CHAT, **formatted(schema))
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith(FORMAT)


@pytest.mark.parametrize("schema", rows([*GOOD_SCHEMAS, *HARD_SCHEMAS]))
def test_schemas_that_can(target: Target, schema: Any) -> None:
    response = target.ask(CHAT, **formatted(schema))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("grammar", rows(BAD_GRAMMARS))
def test_grammars_that_cannot_be_obeyed(target: Target, grammar: str) -> None:
    check_refusal(target.ask(CHAT, grammar=grammar), 400, param="grammar")


@pytest.mark.parametrize("grammar", rows(AMBIGUOUS))
def test_ambiguous_grammars_end_soon(target: Target, grammar: str) -> None:
    response = target.ask(CHAT, grammar=grammar, max_tokens=100)
    if response.status_code == 200:
        assert set(response.json()["choices"][0]["message"]["content"]) <= {"a"}
    else:
        check_refusal(response, 400, param="grammar")


def test_a_grammar_whose_only_token_is_banned(target: Target) -> None:
    banned = {"grammar": ROOT + '"a"', "logit_bias": [[ord("a") - 33, False]], "temperature": 0}
    response = target.ask(CHAT, **banned)
    if response.status_code != 200:
        check_refusal(response, 400)


def test_a_malformed_grammar_leaves_the_next_ones_alone(target: Target) -> None:
    statuses = [
        target.ask(CHAT, grammar=grammar).status_code
        for grammar in (ROOT + LETTERS, ROOT + "[", ROOT + LETTERS, ROOT + "root", ROOT + '"a"')
    ]
    assert statuses == [200, 400, 200, 400, 200]


def test_many_schemas_leave_nothing_behind(target: Target) -> None:
    engines = target.server.find("tiny")

    def n_bytes() -> int:
        return sum(process.memory_info().rss for process in engines)

    for i in range(400):
        if i == 100:
            before = n_bytes()
        assert target.ask(CHAT, **formatted({"const": f"c{i}"}), max_tokens=1).status_code == 200
    assert n_bytes() - before < 32 << 20


@pytest.mark.parametrize("tools", rows(BAD_TOOLS))
def test_tools_that_are_none(target: Target, tools: Any) -> None:
    response = target.ask(CHAT, tools=tools)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith("tools")


@pytest.mark.parametrize("choice", BAD_CHOICES, ids=repr)
def test_choices_that_are_none(target: Target, choice: Any) -> None:
    for tools in ([tool()], None):
        response = target.ask(CHAT, tools=tools, tool_choice=choice)
        check_refusal(response, 400)
        assert response.json()["error"]["param"].startswith("tool_choice")


@pytest.mark.parametrize("arguments", ["{}", "{nope", "", "[" * 100_000])
def test_calls_of_earlier_turns_are_text(target: Target, arguments: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "unknown", "content": "x"},
    ]
    response = target.ask(CHAT, messages=messages)
    assert response.status_code == 200 or len(arguments) > 100
    if response.status_code != 200:
        check_refusal(response, 400)


def test_arguments_of_3_mb(target: Target) -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": "x" * 3_000_000}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]
    check_refusal(target.ask(CHAT, messages=messages), 400, "invalid_value", "messages")
