"""Chooses a request's constraint (schema, regex, choice, grammar) and makes its GBNF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.regex import UnsupportedRegexError, plain_regex
from pyserve.openai.structured.rules import any_of, literal
from pyserve.openai.structured.schema import Issue, SchemaGrammar
from pyserve.schemas.fields.constraints import (
    MAX_GRAMMAR_BYTES,
    ConstraintFields,
    NamedSchema,
    ResponseFormat,
    StructuredOutputs,
    TextFormat,
)

MAX_PARAM_CHARS = 200
ANY_OBJECT: dict[str, Any] = {"type": "object"}


class InvalidSchemaError(InvalidRequestError):
    """A JSON Schema that cannot be enforced."""

    code = "invalid_schema"


def grammar_of(fields: ConstraintFields) -> str:
    """GBNF for the one constraint of `fields`, "" if there is none.

    Raises InvalidSchemaError with the path in the schema as `param`, InvalidRequestError for an
    expression that is not supported. The engine refuses a raw grammar that is malformed.
    """
    if not fields.constraints:
        return ""
    name = fields.constraints[0]
    value = getattr(fields, name)
    if isinstance(value, ResponseFormat):
        return _format_grammar(value)
    if isinstance(value, StructuredOutputs):
        kind, inner = value.given
        return _MAKERS[kind](inner, f"{name}.{kind}")
    return _MAKERS[name.removeprefix("guided_")](value, name)


def grammar_param(fields: ConstraintFields) -> str:
    """The field that the grammar of an answer comes from, for errors about it."""
    return fields.constraints[0] if fields.constraints else "tools"


def _format_grammar(value: ResponseFormat) -> str:
    if value.json_schema is None:
        schema = ANY_OBJECT if value.schema_ is None else value.schema_
        return schema_grammar(schema, "response_format.schema")
    return _named_schema_grammar(value.json_schema, "response_format.json_schema")


def text_format_grammar(value: TextFormat | None) -> str:
    """GBNF for `text.format` of the Responses API."""
    if value is None or value.type == "text":
        return ""
    if value.type == "json_object":
        return schema_grammar(ANY_OBJECT, "text.format")
    return _named_schema_grammar(value, "text.format")


def _named_schema_grammar(named: NamedSchema | TextFormat, param: str) -> str:
    schema = {} if named.schema_ is None else named.schema_
    return schema_grammar(schema, f"{param}.schema", is_strict=bool(named.strict))


def schema_grammar(schema: dict[str, Any], param: str, *, is_strict: bool = False) -> str:
    """The grammar of `schema`, which stands at `param`. Raises InvalidSchemaError."""
    grammar = SchemaGrammar(schema, is_strict=is_strict)
    if grammar.issues:
        issue = grammar.issues[0]
        place = place_of(issue, param)
        subject = issue.keyword or "the schema"
        raise InvalidSchemaError(f"{place}: {subject} {issue.message}", param=place)
    return _bounded(grammar.text(), param)


def place_of(issue: Issue, param: str) -> str:
    """The path of an issue in the request, whose schema stands at `param`."""
    return ".".join(filter(None, [param, *issue.path, issue.keyword]))[:MAX_PARAM_CHARS]


def _regex_grammar(pattern: str, param: str) -> str:
    try:
        return _bounded(f"root ::= {plain_regex(pattern)}\n", param)
    except UnsupportedRegexError as error:
        raise InvalidRequestError(f"{param} {error}", param=param) from error


def _choice_grammar(texts: Sequence[str], param: str) -> str:
    return _bounded(f"root ::= {any_of(literal(text) for text in texts)}\n", param)


def _bounded(grammar: str, param: str) -> str:
    n_bytes = len(grammar.encode())
    if n_bytes > MAX_GRAMMAR_BYTES:
        message = f"{param} becomes a grammar of {n_bytes} bytes, at most {MAX_GRAMMAR_BYTES}"
        raise InvalidRequestError(message, param=param)
    return grammar


_MAKERS: dict[str, Callable[[Any, str], str]] = {
    "json": schema_grammar,
    "json_schema": schema_grammar,
    "format": schema_grammar,
    "json_object": lambda _, param: schema_grammar(ANY_OBJECT, param),
    "regex": _regex_grammar,
    "choice": _choice_grammar,
    "grammar": lambda text, _: str(text),
}
