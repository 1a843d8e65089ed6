"""References by $id and $anchor, and types in capitals; the jsonschema package is the judge."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.openai.structured.dialects import plain_schema
from pyserve.openai.structured.schema import SchemaGrammar
from pyserve.openai.structured.validation import violation_of

CITY = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
GOOD, BAD = {"a": {"n": 1}}, {"a": {"n": "x"}}


def with_refs(reference: str, defs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    member = {"a": {"$ref": reference}}
    return {"type": "object", "properties": member, "required": ["a"], "$defs": defs, **fields}


NAMED = [
    with_refs("#city", {"c": {"$anchor": "city", **CITY}}),
    with_refs("c.json", {"c": {"$id": "c.json", **CITY}}, **{"$id": "https://x.org/s/root.json"}),
    with_refs(
        "https://x.org/s/c.json", {"c": {"$id": "c.json", **CITY}}, **{"$id": "https://x.org/s/"}
    ),
    with_refs("#/$defs/c", {"c": CITY}, **{"$id": "urn:example:root"}),
    with_refs("urn:example:c", {"c": {"$id": "urn:example:c", **CITY}}),
    with_refs(
        "urn:example:c#n",
        {"c": {"$id": "urn:example:c", "$defs": {"x/y~": {"$anchor": "n", **CITY}}}},
    ),
    with_refs("https://x.org/c#/$defs/d", {"c": {"$id": "https://x.org/c", "$defs": {"d": CITY}}}),
    with_refs("/t/c", {"c": {"$id": "https://x.org/t/c", **CITY}}, **{"$id": "https://x.org/s/r"}),
    with_refs(
        "#/properties/b", {}, **{"properties": {"a": {"$ref": "b"}, "b": {"$id": "b", **CITY}}}
    ),
]


@pytest.mark.parametrize("schema", NAMED, ids=lambda schema: json.dumps(schema)[:60])
def test_named_schemas_are_found(schema):
    jsonschema.validate(GOOD, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(BAD, schema)
    grammar = SchemaGrammar(schema)
    assert grammar.issues == []
    assert '"\\"n\\""' in grammar.text()
    assert violation_of(schema, json.dumps(GOOD)) is None
    assert violation_of(schema, json.dumps(BAD)) is not None


def test_references_in_a_schema_with_an_id_of_its_own_are_relative_to_it():
    inner = {"$id": "https://x.org/c", "$defs": {"d": CITY}, "$ref": "#/$defs/d"}
    schema = with_refs("https://x.org/c", {"c": inner, "d": {"type": "null"}})
    plain = plain_schema(schema)
    assert plain["properties"]["a"] == {"$ref": "#/$defs/c"}
    assert plain["$defs"]["c"]["$ref"] == "#/$defs/c/$defs/d"
    assert SchemaGrammar(schema).issues == []
    assert violation_of(schema, json.dumps(BAD)) is not None


def test_recursion_by_names():
    schema = {
        "$id": "https://x.org/tree",
        "type": "object",
        "properties": {"left": {"$ref": "tree"}, "right": {"$ref": "#node"}},
        "$anchor": "node",
    }
    assert SchemaGrammar(schema).issues == []
    assert violation_of(schema, '{"left":{"right":{}}}') is None
    assert violation_of(schema, '{"left":{"right":1}}') is not None


@pytest.mark.parametrize(
    "reference",
    ["#none", "other.json", "https://x.org/none", "#/$defs/none", "http://[::1", "c.json#none", ""],
)
def test_what_leads_nowhere_is_told_as_it_was(reference):
    schema = with_refs(reference, {"c": {"$id": "c.json", **CITY}})
    if reference == "":
        assert plain_schema(schema)["properties"]["a"] == {"$ref": "#"}
        return
    assert plain_schema(schema)["properties"]["a"] == {"$ref": reference}
    assert [issue.keyword for issue in SchemaGrammar(schema).malformed_issues] == ["$ref"]


def test_data_and_members_of_these_names_stay():
    schema = {
        "type": "object",
        "properties": {
            "$id": {"type": "string"},
            "$ref": {"type": "string"},
            "type": {"enum": ["OBJECT", {"$ref": "#x", "$id": "y"}]},
            "e": {"const": {"type": "STRING", "$anchor": "x"}, "default": {"$ref": "z"}},
        },
        "$anchor": "x",
    }
    plain = plain_schema(schema)
    assert plain == {name: value for name, value in schema.items() if name != "$anchor"}


def test_types_in_capitals_are_types():
    schema = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "ARRAY", "items": {"type": "STRING"}},
            "b": {"type": ["INTEGER", "NULL"]},
            "c": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        },
        "required": ["a", "b"],
    }
    assert plain_schema(schema) == json.loads(
        json.dumps(schema)
        .replace("OBJECT", "object")
        .replace("ARRAY", "array")
        .replace("STRING", "string")
        .replace("INTEGER", "integer")
        .replace("NULL", "null")
        .replace("NUMBER", "number")
        .replace("BOOLEAN", "boolean")
    )
    assert SchemaGrammar(schema).issues == []
    assert violation_of(schema, '{"a":["x"],"b":null}') is None
    assert violation_of(schema, '{"a":[1],"b":null}') is not None
    for other in ("Object", "TYPE_UNSPECIFIED", 1, {"a": 1}):
        assert plain_schema({"type": other}) == {"type": other}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            {
                **{"type": "object", "properties": {"a": {"type": "any", "enum": None}}},
                **{"required": None, "additionalProperties": None, "description": None},
            },
            {"type": "object", "properties": {"a": {}}},
        ),
        ({"type": None, "const": None, "default": None}, {"const": None, "default": None}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["STRING", "NULL"], "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"anyOf": [{"type": "ANY"}, {"type": ["any"]}], "nullable": True},
         {"anyOf": [{"type": "ANY"}, {}]}),
        ({"minimum": 1, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False},
         {"exclusiveMinimum": 1, "maximum": 9}),
        ({"exclusiveMinimum": True}, {}),
        ({"$defs": {"nullable": {}}, "nullable": 1}, {"$defs": {"nullable": {}}, "nullable": 1}),
    ],
)  # fmt: skip
def test_what_some_say_otherwise_means_the_same(said, meant):
    assert plain_schema(said) == meant
    assert plain_schema(meant) is meant


def test_members_come_in_the_order_that_gemini_has_for_them():
    members = {name: {"type": "null"} for name in "abc"}
    order = ["c", "x", 1, "b", "c"]
    schema = {"type": "OBJECT", "properties": members, "propertyOrdering": order}
    assert list(plain_schema(schema)["properties"]) == ["c", "b", "a"]
    assert SchemaGrammar({**schema, "required": ["a", "c"]}).issues == []


def test_a_plain_schema_stays_as_it_is():
    for schema in (with_refs("#/$defs/c", {"c": CITY}), True, {}, [], None, "x"):
        assert plain_schema(schema) is schema


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(["#", "#a", "a", "OBJECT", "object", "#/a/b", "//", "%"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("$id", "$anchor", "$ref", "type", "properties", "items", "$defs", "allOf"),
                    *("a/~", "nullable", "minimum", "exclusiveMinimum", "propertyOrdering"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(VALUES)
def test_anything_becomes_plain_once(schema):
    plain = plain_schema(schema)
    assert plain_schema(plain) == plain
    SchemaGrammar(schema)
