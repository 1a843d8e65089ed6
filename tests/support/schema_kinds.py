"""Schemas of the kinds that test suites and generators have, made from a seed.

`python -m tests.support.schema_kinds` prints how many of each kind are accepted and enforced whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyserve.openai.structured.constraint import InvalidSchemaError, schema_constraint

Schema = dict[str, Any]
Make = Callable[[random.Random], Schema]
N_OF_EACH = 40
_WORDS = ("id", "name", "kind", "tags", "size", "when", "owner", "note", "a/b", "ü~", "x y", "$ref")


def bounds(rng: random.Random) -> Schema:
    low = round(rng.uniform(-1000, 1000), rng.choice((0, 1, 3)))
    high = low + round(rng.uniform(0, 10 ** rng.randint(0, 5)), rng.choice((0, 2))) + 3
    names = rng.choice((("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")))
    limits = {names[0]: low, names[1]: high}
    if rng.random() < 0.4:
        del limits[rng.choice(names)]
    return {"type": rng.choice(("number", "integer")), **limits}


def multiples(rng: random.Random) -> Schema:
    if rng.random() < 0.3:
        return {"type": "number", "multipleOf": rng.choice((0.01, 0.1, 0.25, 0.5, 2))}
    schema: Schema = {
        "type": "integer",
        "multipleOf": rng.choice((1, 2, 3, 5, 7, 10, 60, 100, 365)),
    }
    if rng.random() < 0.5:
        schema["minimum"] = rng.randint(-500, 500)
    return schema


def lengths(rng: random.Random) -> Schema:
    low = rng.randint(0, 20)
    return {
        "type": "string",
        "minLength": low,
        "maxLength": low + rng.choice((0, 3, 50, 3000, 10**6)),
    }


def patterns(rng: random.Random) -> Schema:
    found = rng.choice(
        (
            *("[0-9]", "^[A-Z]{2}-\\d{1,4}$", "^a|b$", "\\.json$", "^\\S+$", "^(?!x).{1,9}$"),
            *("^[a-z][a-z0-9_-]*$", "^(\\(\\d{3}\\))?\\d{3}-\\d{4}$", "^#[0-9a-fA-F]{6}$"),
            *("^\\w+([.-]?\\w+)*@\\w+([.-]?\\w+)*\\.\\w{2,3}$", "^v?\\d+\\.\\d+\\.\\d+(-[a-z]+)?$"),
            *('^[^\\s\\\\/:*?"<>|]+$', "^\\p{L}+$", "\\bword\\b", "^(a)\\1$", "^(?=.*\\d).{2,12}$"),
        )
    )
    schema: Schema = {"type": "string", "pattern": found}
    if rng.random() < 0.3:
        schema["maxLength"] = rng.choice((12, 64, 2000))
    return schema


def formats(rng: random.Random) -> Schema:
    name = rng.choice(
        (
            *("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
            *("uri", "uri-reference", "json-pointer", "iri", "regex", "relative-json-pointer"),
        )
    )
    return {"type": "string", "format": name}


def constants(rng: random.Random) -> Schema:
    values = [1, 2.5, "a", 'q"\\', None, True, [1, {"x": []}], {"k": "v"}, "日本", -0.5]
    chosen = rng.sample(values, rng.randint(1, 6))
    schema: Schema = {"enum": chosen} if rng.random() < 0.7 else {"const": chosen[0]}
    if rng.random() < 0.3:
        schema["not"] = {"const": "never"}
    return schema


def scalar(rng: random.Random) -> Schema:
    kind = rng.choice((bounds, multiples, lengths, patterns, formats, constants, plain))
    return kind(rng)


def plain(rng: random.Random) -> Schema:
    return {"type": rng.choice(("string", "integer", "number", "boolean", "null"))}


def objects(rng: random.Random, depth: int = 2) -> Schema:
    names = rng.sample(_WORDS, rng.randint(1, 5))
    return {
        "type": "object",
        "properties": {name: anything(rng, depth - 1) for name in names},
        "required": rng.sample(names, rng.randint(0, len(names))),
        "additionalProperties": rng.choice((False, False, True, plain(rng))),
    }


def arrays(rng: random.Random, depth: int = 2) -> Schema:
    low = rng.randint(0, 2)
    schema: Schema = {"type": "array", "minItems": low, "maxItems": low + rng.choice((0, 2, 500))}
    if rng.random() < 0.3:
        return {**schema, "prefixItems": [anything(rng, depth - 1) for _ in range(low)]}
    return {**schema, "items": anything(rng, depth - 1)}


def unique(rng: random.Random) -> Schema:
    values = rng.sample(range(100), rng.randint(3, 12))
    items = {"enum": values} if rng.random() < 0.7 else {"type": "string"}
    return {"type": "array", "items": items, "uniqueItems": True, "maxItems": rng.randint(1, 9)}


def counted(rng: random.Random) -> Schema:
    names = rng.sample(_WORDS, 4)
    least = rng.randint(0, 3)
    return {
        "type": "object",
        "properties": {name: plain(rng) for name in names},
        "minProperties": least,
        "maxProperties": least + rng.randint(0, 2),
        "additionalProperties": rng.random() < 0.3,
    }


def patterned(rng: random.Random) -> Schema:
    chosen = rng.sample(("^x-", "^[0-9]+$", "_id$", "^[a-f]{2}"), rng.randint(1, 3))
    schema: Schema = {"type": "object", "patternProperties": {p: plain(rng) for p in chosen}}
    schema["additionalProperties"] = rng.choice((False, {"type": "null"}))
    if rng.random() < 0.3:
        schema["propertyNames"] = {"pattern": "^[a-z0-9_-]{1,8}$"}
    return schema


def merged(rng: random.Random) -> Schema:
    parts: list[Schema] = [
        {"type": "object", "properties": {name: plain(rng)}, "required": [name]}
        for name in rng.sample(_WORDS, 3)
    ]
    parts.append({"properties": {"n": {"type": "integer", "minimum": rng.randint(0, 9)}}})
    parts.append({"properties": {"n": {"maximum": rng.randint(9, 99)}}, "required": ["n"]})
    return {"allOf": parts, "description": "x"}


def alternatives(rng: random.Random) -> Schema:
    if rng.random() < 0.5:
        return {"anyOf": [scalar(rng), plain(rng), objects(rng, 1)]}
    return {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": k}, "v": plain(rng)},
             "required": ["kind"], "additionalProperties": False}
            for k in rng.sample(_WORDS, 3)
        ]
    }  # fmt: skip


def references(rng: random.Random) -> Schema:
    node = {
        "type": "object",
        "properties": {"value": scalar(rng), "next": {"anyOf": [{"$ref": "#/$defs/a~1b%25"},
                                                                {"type": "null"}]}},
        "required": ["value", "next"],
        "additionalProperties": False,
    }  # fmt: skip
    return {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": node}, "title": "T"}


def conditions(rng: random.Random) -> Schema:
    more = rng.choice(
        (
            {"not": {"required": ["id", "name"]}},
            {"if": {"required": ["id"]}, "then": {"required": ["name"]}},
            {"dependentRequired": {"id": ["name"]}},
            {"unevaluatedProperties": False},
            {"properties": {"tags": {"type": "array", "contains": {"const": 1}}}},
        )
    )
    return {"type": "object", "properties": {"id": plain(rng), "name": plain(rng)}, **more}


def anything(rng: random.Random, depth: int) -> Schema:
    if depth <= 0 or rng.random() < 0.6:
        return scalar(rng)
    return rng.choice((objects, arrays))(rng, depth)


KINDS: Mapping[str, Make] = {
    make.__name__: make
    for make in (
        *(bounds, multiples, lengths, patterns, formats, constants, objects, arrays, unique),
        *(counted, patterned, merged, alternatives, references, conditions),
    )
}


def schemas(kind: str, n: int = N_OF_EACH) -> Iterator[Schema]:
    """`n` schemas of a kind, always the same."""
    for seed in range(n):
        yield KINDS[kind](random.Random(f"{kind} {seed}"))


def main() -> None:
    print(f"{'kind':14}{'schemas':>9}{'accepted':>10}{'enforced':>10}")
    for kind in KINDS:
        n_accepted = n_enforced = 0
        for schema in schemas(kind):
            try:
                constraint = schema_constraint(schema, "schema")
            except InvalidSchemaError as error:
                print(error)
                continue
            n_accepted += 1
            n_enforced += not constraint.unenforced
        print(f"{kind:14}{N_OF_EACH:9}{n_accepted:10}{n_enforced:10}")


if __name__ == "__main__":
    main()
