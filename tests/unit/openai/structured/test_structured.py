"""What a schema or an expression becomes, and what is refused by its path."""

from __future__ import annotations

import re

import pytest

from pyserve.openai.structured.disjoint import MAX_COMPARED
from pyserve.openai.structured.integers import integer_range
from pyserve.openai.structured.regex import UnsupportedRegexError, json_pattern, plain_regex
from pyserve.openai.structured.schema import SchemaGrammar

STRICT = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def issues(schema, **options):
    grammar = SchemaGrammar(schema, **options)
    return [(".".join(issue.path), issue.keyword) for issue in grammar.issues]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("not", {}),
        ("if", {}),
        ("dependentSchemas", {}),
        ("patternProperties", {}),
        ("propertyNames", {}),
        ("contains", {}),
        ("unevaluatedProperties", False),
        ("multipleOf", 3),
        ("uniqueItems", True),
        ("minProperties", 1),
        ("maxProperties", 1),
        ("format", "iri"),
        ("pattern", "a"),
        ("pattern", "^(?=a)$"),
        ("$ref", "https://example.com/schema"),
        ("$ref", "#/$defs/missing"),
        ("$id", "https://example.com/schema"),
        ("nullable", True),
        ("type", "text"),
        ("type", [["string"]]),
        ("enum", []),
        ("anyOf", []),
        ("oneOf", [{"type": "integer"}, {"type": "number"}]),
        ("allOf", [{}, {}]),
        ("minItems", -1),
        ("maxItems", 5000),
        ("maxLength", 1.5),
        ("required", "a"),
        ("properties", []),
        ("prefixItems", {}),
    ],
)
def test_what_cannot_be_enforced_is_named_by_its_path(keyword, value):
    schema = {"type": "object", "properties": {"a": {keyword: value}}}
    assert ("properties.a", keyword) in issues(schema)


def test_bounds_of_numbers_are_refused_and_those_of_integers_are_not():
    assert issues({"type": "number", "minimum": 1}) == [("", "minimum")]
    assert issues({"type": "integer", "minimum": 1}) == []
    assert issues({"type": "integer", "minimum": 3, "maximum": 2}) == [("", "maximum")]


def test_a_reference_may_lead_to_itself_only_inside_a_container():
    assert issues({"$ref": "#"}) == [("", "$ref")]
    assert issues({"anyOf": [{"$ref": "#"}, {"type": "null"}]}) == [("anyOf.0", "$ref")]
    assert issues({"type": "array", "items": {"$ref": "#"}}) == []


def self_containing(name):
    part = {"$ref": f"#/$defs/{name}"}
    return {"type": "object", "required": ["x"], "properties": {"x": part}}


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"oneOf": [{"type": 5}, {"type": "null"}]}, "oneOf"),
        ({"oneOf": [{"enum": 5}, {"type": "null"}]}, "oneOf"),
        ({"oneOf": [{"const": 1}, {"enum": [2, 1]}]}, "oneOf"),
        ({"oneOf": [{"type": "null"}, *({"const": i} for i in range(MAX_COMPARED))]}, "oneOf"),
        ({"enum": 5, "const": 5}, "enum"),
        ({"items": {"$ref": "#/anyOf/" + "9" * 5000}, "type": "array"}, "$ref"),
        ({"type": "object", "required": ["x"] * 1000}, "required"),
        (
            {"type": "object", "properties": {"x" * 1000: {}}, "additionalProperties": True},
            "additionalProperties",
        ),
        (
            {
                "$defs": {"a": self_containing("a"), "b": self_containing("b")},
                "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            },
            "oneOf",
        ),
    ],
)
def test_what_is_hostile_is_an_issue_like_any_other(schema, keyword):
    assert keyword in [name for _, name in issues(schema)]


def test_constants_tell_any_number_of_schemas_apart():
    assert not issues({"oneOf": [{"const": i} for i in range(2000)]})


def test_nesting_is_bounded():
    schema: dict = {"type": "null"}
    for _ in range(60):
        schema = {"type": "array", "items": schema}
    assert issues(schema) == []
    for _ in range(60):
        schema = {"type": "array", "items": schema}
    assert [keyword for _, keyword in issues(schema)] == [""]


def test_all_issues_are_found():
    schema = {"properties": {"a": {"multipleOf": 2, "type": "integer"}, "b": {"not": {}}}}
    assert issues(schema) == [("properties.a", "multipleOf"), ("properties.b", "not")]


def test_strict_demands_all_members_and_no_others():
    assert issues(STRICT, is_strict=True) == []
    assert issues({**STRICT, "required": []}, is_strict=True) == [("", "required")]
    loose = {name: STRICT[name] for name in ("type", "properties", "required")}
    assert issues(loose, is_strict=True) == [("", "additionalProperties")]
    assert issues(loose) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "a(?=b)",
        "a(?!b)",
        "(?P<x>a)",
        r"(a)\1",
        r"\bword",
        "a++",
        "a**",
        "*a",
        "a{2",
        "a{3,2}",
        "a{1001}",
        "a{99999999999}",
        "(a",
        "a)",
        "[a",
        "[z-a]",
        "[]",
        "[^\\s\\S]",
        "a^b",
        "a$b",
        "^a|b$",
        "\\",
        "\\xZZ",
        "(" * 40 + ")" * 40,
    ],
)
def test_expressions_that_are_not_regular_are_refused(pattern):
    with pytest.raises(UnsupportedRegexError):
        plain_regex(pattern)


def test_a_pattern_in_a_schema_is_anchored():
    for pattern in ("a", "^a", "a$", "^a\\$"):
        with pytest.raises(UnsupportedRegexError):
            json_pattern(pattern)
    assert json_pattern("^a\\\\$")
    assert plain_regex("a") == plain_regex("^a$")


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 0), (0, 9), (5, 5), (7, 123), (99, 101), (-20, 35), (-105, -7), (1000, 1999), (10, 10000)],
)
def test_ranges_of_integers_are_exact(low, high):
    expression = integer_range(low, high)
    pattern = re.compile(expression.replace(" ", "").replace('"', ""))
    for number in range(low - 300, high + 300):
        assert bool(pattern.fullmatch(str(number))) == (low <= number <= high), number
    assert not pattern.fullmatch("-0")
    assert not pattern.fullmatch("007")
