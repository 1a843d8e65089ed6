"""What a schema becomes, and what of it is not enforced, by its path."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from pyserve.openai.structured.decimal_texts import Interval, decimal_texts
from pyserve.openai.structured.disjoint import MAX_COMPARED
from pyserve.openai.structured.integers import integer_range
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


def malformed(schema):
    return [(".".join(i.path), i.keyword) for i in SchemaGrammar(schema).malformed_issues]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("not", {}),
        ("if", {}),
        ("dependentSchemas", {}),
        ("dependentRequired", {}),
        ("contains", {}),
        ("unevaluatedProperties", False),
        ("uniqueItems", True),
        ("format", "regex"),
        ("pattern", "^(?<=a)$"),
        ("oneOf", [{"type": "integer"}, {"type": "number"}]),
        ("minLength", 2**31),
    ],
)
def test_what_cannot_be_enforced_is_named_by_its_path_and_no_reason_to_refuse(keyword, value):
    schema = {"type": "object", "properties": {"a": {keyword: value}}}
    assert issues(schema) == [("properties.a", keyword)]
    assert malformed(schema) == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("$ref", "https://example.com/schema"),
        ("$ref", "#/$defs/missing"),
        ("type", "text"),
        ("type", [["string"]]),
        ("enum", 5),
        ("anyOf", []),
        ("allOf", {}),
        ("minItems", -1),
        ("maxLength", 1.5),
        ("required", "a"),
        ("properties", []),
        ("patternProperties", []),
        ("prefixItems", {}),
        ("minimum", "5"),
        ("multipleOf", 0),
        ("pattern", 5),
        ("items", 5),
    ],
)
def test_what_is_no_schema_is_named_by_its_path(keyword, value):
    schema = {"type": "object", "properties": {"a": {keyword: value}}, "required": ["a"]}
    path = "properties.a.items" if keyword == "items" else "properties.a"
    assert (path, "" if keyword == "items" else keyword) in malformed(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        {"type": "integer", "format": "int64", "multipleOf": 10},
        {"type": "integer", "multipleOf": 25000, "minimum": 0.5},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1e299},
        {"type": "number", "multipleOf": 0.01},
        {"type": "string", "format": "ipv6"},
        {"type": "string", "format": "duration", "maxLength": 9},
        {"type": "string", "pattern": "[0-9]"},
        {"type": "string", "pattern": "^a|b$", "minLength": 2, "maxLength": 2000},
        {"type": "string", "pattern": "^(?!admin)[a-z]+(?=x)", "maxLength": 30},
        {"type": "string", "format": "uuid", "pattern": "^[^-]{8}-"},
        {"type": "string", "minLength": 1, "maxLength": 2**31 - 1},
        {"type": "string", "contentEncoding": "base64", "x-order": 3},
        {"type": "object", "patternProperties": {"^a": {}, "b$": {}}, "minProperties": 1},
        {"type": "object", "propertyNames": {"type": "string", "pattern": "^[a-z]+$"}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 2},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "items": [{"type": "null"}], "additionalItems": False},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 1}}}]},
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}, {}]},
        {"enum": ["a", 1, None], "type": ["string", "null"], "not": {"const": "a"}},
        {"$ref": "#/$defs/a%25~1", "$defs": {"a%/": {"type": "null"}}, "description": "x"},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"items": {"$ref": "#"}}}},
        {
            "$id": "https://example.com/x",
            "$ref": "https://example.com/x#/$defs/y",
            "$defs": {"y": {"type": "null"}},
        },
    ],
)
def test_what_generators_write_is_enforced_whole(schema):
    assert issues(schema) == []


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        (False, ""),
        ({"enum": []}, "enum"),
        ({"enum": ["a"], "type": "integer"}, "enum"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "type"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum"),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, "minimum"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "maxItems"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, ""),
        ({"type": "object", "required": ["a"], "maxProperties": 0}, "maxProperties"),
        (
            {"allOf": [{"required": ["a"]}, {"properties": {}, "additionalProperties": False}]},
            "",
        ),
    ],
)
def test_a_schema_that_allows_nothing_is_malformed(schema, keyword):
    assert keyword in [name for _, name in malformed(schema)]


def test_what_allows_nothing_is_left_out_where_it_may_be_missing():
    schema = {"type": "object", "properties": {"a": False, "b": {"type": "null"}}}
    either = {"anyOf": [{"type": "null"}, False, {"enum": []}]}
    assert issues(schema) == issues(either) == []
    assert "a" not in SchemaGrammar(schema).text().replace("[", "").split('"')


def test_a_reference_may_lead_to_itself_only_inside_a_container():
    assert malformed({"$ref": "#"}) == [("", "$ref")]
    assert malformed({"anyOf": [{"$ref": "#"}, {"type": "null"}]}) == [("", "$ref")]
    assert malformed({"allOf": [{"$ref": "#"}]}) == [("allOf.0", "$ref")]
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
        ({"type": "object", "required": ["x"] * 10_000}, "required"),
        (
            {
                "$defs": {"a": self_containing("a"), "b": self_containing("b")},
                "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            },
            "oneOf",
        ),
        (
            {"allOf": [{"anyOf": [{"minLength": 9 * i + j} for j in range(9)]} for i in range(40)]},
            "",
        ),
    ],
)
def test_what_is_hostile_is_an_issue_like_any_other(schema, keyword):
    assert keyword in [name for _, name in issues(schema)]


def doubling(keyword):
    steps = {f"a{i}": {keyword: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
    return {"$defs": {**steps, "a30": {"type": "null"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize("keyword", ["anyOf", "allOf"])
def test_what_is_said_twice_is_written_once(keyword):
    assert len(SchemaGrammar(doubling(keyword)).text()) < 10_000


def test_constants_tell_any_number_of_schemas_apart():
    assert not issues({"oneOf": [{"const": i} for i in range(2000)]})


def test_nesting_takes_no_stack():
    schema: dict = {"type": "null"}
    for _ in range(150):
        schema = {"type": "array", "items": schema}
    assert issues(schema) == []
    chain = {f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(999)}
    assert issues({"$defs": {**chain, "d999": {"type": "null"}}, "$ref": "#/$defs/d0"}) == []


def test_long_lengths_take_no_room():
    texts = {f"s{i}": {"type": "string", "maxLength": 3000 + i} for i in range(60)}
    assert len(SchemaGrammar({"type": "object", "properties": texts}).text()) < 20_000


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "string", "pattern": "(?!x)(a|b)*a(a|b){20}c"}, "pattern"),
        ({"type": "integer", "multipleOf": 1_000_003}, "multipleOf"),
        ({"type": "number", "minimum": 1e-290, "maximum": 1e290}, ""),
        ({"type": "object", "propertyNames": {"pattern": "(?!x)(a|b)*a(a|b){20}c"}}, ""),
    ],
)
def test_what_takes_too_many_states_is_not_enforced(schema, keyword):
    some = {f"n{i}": {**schema, "description": str(i)} for i in range(9)}
    found = issues({"type": "object", "properties": some})
    assert found == ([(f"properties.n{i}", keyword) for i in range(9)] if keyword else found)
    assert malformed({"type": "object", "properties": some}) == []


def test_automata_of_one_schema_have_a_budget():
    bounds = {f"n{i}": {"type": "number", "minimum": i / 7 + 0.1} for i in range(2000)}
    found = issues({"type": "object", "properties": bounds})
    assert 0 < len(found) < 2000
    assert {keyword for _, keyword in found} == {"minimum"}


def test_all_issues_are_found():
    schema = {"properties": {"a": {"if": {}, "type": "integer"}, "b": {"not": {}}}}
    assert issues(schema) == [("properties.a", "if"), ("properties.b", "not")]


def test_strict_demands_all_members_and_no_others():
    assert issues(STRICT, is_strict=True) == []
    assert issues({**STRICT, "required": []}, is_strict=True) == [("", "required")]
    loose = {name: STRICT[name] for name in ("type", "properties", "required")}
    assert issues(loose, is_strict=True) == [("", "additionalProperties")]
    assert issues(loose) == []


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


def follows(automaton, text):
    state = 0
    for char in text:
        state = automaton.steps[state][10 if char == "." else int(char)]
        if state < 0:
            return False
    return automaton.accepts[state]


@pytest.mark.parametrize(
    ("low", "high", "is_open"),
    [
        ("0", "1", False),
        ("0.25", "0.3", True),
        ("1.5", "12", False),
        ("99.99", "100.01", True),
        ("3", "3", False),
        ("0.1", "1000", True),
        ("7", None, True),
    ],
)
def test_ranges_of_decimals_are_exact(low, high, is_open):
    high = None if high is None else Decimal(high)
    interval = Interval(Decimal(low), high, is_open, is_open)
    automaton = decimal_texts(interval)
    texts = [
        f"{i / 1000:.{n}f}" for i in (*range(0, 13000, 7), 99990, 99991, 100010) for n in (0, 1, 3)
    ]
    texts += [low, f"{low}0" if "." in low else f"{low}.0", str(high or 8)]
    for text in texts:
        assert follows(automaton, text) == interval.holds(Decimal(text)), text
    assert not follows(automaton, "01")
    assert not follows(automaton, "1.")


@pytest.mark.parametrize(("divisor", "low"), [("7", "0"), ("0.25", "0"), ("3", "50"), ("0.1", "2")])
def test_multiples_are_exact(divisor, low):
    interval = Interval(low=Decimal(low))
    automaton = decimal_texts(interval, Decimal(divisor))
    for i in range(0, 100_000, 13):
        value = Decimal(i) / 100
        is_multiple = value >= Decimal(low) and value % Decimal(divisor) == 0
        text = f"{value.normalize():f}"
        assert follows(automaton, text) == is_multiple, text
