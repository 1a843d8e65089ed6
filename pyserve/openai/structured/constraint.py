"""Chooses a request's constraint (schema, regex, choice, grammar) and makes its GBNF."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.conjunction import Path
from pyserve.openai.structured.regex import plain_regex
from pyserve.openai.structured.regex_tree import UnsupportedRegexError
from pyserve.openai.structured.rules import Rules, any_of, literal
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.structured.validation import SchemaViolation, violation_of
from pyserve.schemas.fields.constraints import (
    ConstraintFields,
    NamedSchema,
    ResponseFormat,
    StructuredOutputs,
    TextFormat,
)

MAX_COMPILED_BYTES = 1024 * 1024  # of the engine's grammars
MAX_PARAM_CHARS = 200
ANY_OBJECT: dict[str, Any] = {"type": "object"}


class InvalidSchemaError(InvalidRequestError):
    """A JSON Schema that cannot be enforced."""

    code = "invalid_schema"


class Constraint(msgspec.Struct, frozen=True):
    """What an answer is held to. grammar: GBNF, "": it is free.

    unenforced: the paths of what the grammar does not enforce of `schema`.
    """

    grammar: str = ""
    unenforced: tuple[str, ...] = ()
    schema: Any = None

    def violation(self, text: str) -> SchemaViolation | None:
        """Why `text`, a whole answer, is not valid; only where something is not enforced."""
        return violation_of(self.schema, text) if self.unenforced else None


FREE = Constraint()


def constraint_of(fields: ConstraintFields) -> Constraint:
    """The one constraint of `fields`.

    Raises InvalidSchemaError with the path in the schema as `param`, InvalidRequestError for an
    expression that is not supported. The engine refuses a raw grammar that is malformed.
    """
    if not fields.constraints:
        return FREE
    name = fields.constraints[0]
    value = getattr(fields, name)
    if isinstance(value, ResponseFormat):
        return _format_constraint(value)
    if isinstance(value, StructuredOutputs):
        kind, inner = value.given
        return _MAKERS[kind](inner, f"{name}.{kind}")
    return _MAKERS[name.removeprefix("guided_")](value, name)


def grammar_param(fields: ConstraintFields) -> str:
    """The field that the grammar of an answer comes from, for errors about it."""
    return fields.constraints[0] if fields.constraints else "tools"


def _format_constraint(value: ResponseFormat) -> Constraint:
    if value.json_schema is None:
        schema = ANY_OBJECT if value.schema_ is None else value.schema_
        return schema_constraint(schema, "response_format.schema")
    return _named_schema(value.json_schema, "response_format.json_schema")


def text_format_constraint(value: TextFormat | None) -> Constraint:
    """What `text.format` of the Responses API says."""
    if value is None or value.type == "text":
        return FREE
    if value.type == "json_object":
        return schema_constraint(ANY_OBJECT, "text.format")
    return _named_schema(value, "text.format")


def _named_schema(named: NamedSchema | TextFormat, param: str) -> Constraint:
    schema = {} if named.schema_ is None else named.schema_
    return schema_constraint(schema, f"{param}.schema", is_strict=bool(named.strict))


def schema_constraint(schema: dict[str, Any], param: str, *, is_strict: bool = False) -> Constraint:
    """The constraint of `schema`, which stands at `param`. Raises InvalidSchemaError.

    With `is_strict` for all that cannot be enforced, else for what is no JSON Schema.
    """
    grammar, issues = _converted(json.dumps(schema), is_strict)
    refused = [issue for issue in issues if is_strict or issue.is_malformed]
    if refused:
        issue = refused[0]
        place = place_of(issue, param)
        subject = issue.keyword or "the schema"
        raise InvalidSchemaError(f"{place}: {subject} {issue.message}", param=place)
    unenforced = tuple(schema_path(issue.path, issue.keyword) for issue in issues)
    return Constraint(_bounded(grammar, param), unenforced, schema if unenforced else None)


@lru_cache(maxsize=16)
def _converted(schema: str, is_strict: bool) -> tuple[str, list[Issue]]:
    grammar = SchemaGrammar(json.loads(schema), is_strict=is_strict)
    return grammar.text(), grammar.issues


def schema_path(path: Path, keyword: str) -> str:
    """A place in a schema, whose root is `$`."""
    return ".".join(["$", *path, *([keyword] if keyword else [])])


def place_of(issue: Issue, param: str) -> str:
    """The path of an issue in the request, whose schema stands at `param`."""
    return ".".join(filter(None, [param, *issue.path, issue.keyword]))[:MAX_PARAM_CHARS]


def _regex_constraint(pattern: str, param: str) -> Constraint:
    rules = Rules()
    root = rules.reserve_root()
    try:
        rules.define(root, plain_regex(pattern, rules))
    except UnsupportedRegexError as error:
        raise InvalidRequestError(f"{param} {error}", param=param) from error
    return Constraint(_bounded(rules.text(), param))


def _choice_constraint(texts: Sequence[str], param: str) -> Constraint:
    return Constraint(_bounded(f"root ::= {any_of(literal(text) for text in texts)}\n", param))


def _grammar_constraint(text: str, param: str) -> Constraint:
    """Of GBNF, or of Lark, as clients of vLLM send it: a text that defines nothing as GBNF does."""
    if "::=" in text or not text.strip():
        return Constraint(text)
    try:
        grammar = TextGrammar("lark", text).gbnf(param)
    except InvalidRequestError as error:
        message = f"{error}; it is read as Lark, as GBNF it would have `root ::=`"
        raise InvalidRequestError(message, param=param) from error
    return Constraint(_bounded(grammar, param))


def _bounded(grammar: str, param: str) -> str:
    n_bytes = len(grammar.encode())
    if n_bytes > MAX_COMPILED_BYTES:
        message = f"{param} becomes a grammar of {n_bytes} bytes, at most {MAX_COMPILED_BYTES}"
        raise InvalidRequestError(message, param=param)
    return grammar


_MAKERS: dict[str, Callable[[Any, str], Constraint]] = {
    "json": schema_constraint,
    "json_schema": schema_constraint,
    "format": schema_constraint,
    "json_object": lambda _, param: schema_constraint(ANY_OBJECT, param),
    "regex": _regex_constraint,
    "choice": _choice_constraint,
    "grammar": _grammar_constraint,
    "ebnf": _grammar_constraint,
}
