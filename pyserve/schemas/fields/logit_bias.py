"""`logit_bias`: OpenAI's object, or llama-server's list of pairs; `false` bans a token.

A token is named by its id, or by its text, which `openai/token_biases.py` looks up.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

from pyserve.schemas.common import INT32_MAX, TokenId, invalid

MAX_LOGIT_BIAS = 1024
MAX_TOKEN_CHARS = 256
MAX_ID_DIGITS = 10
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")
BAN = float("-inf")
_BIAS_SCHEMA = {"anyOf": [{"type": "number", "minimum": -100, "maximum": 100}, {"const": False}]}
_PAIR_SCHEMA = {
    "type": "array",
    "prefixItems": [
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": INT32_MAX},
                {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_CHARS},
            ]
        },
        _BIAS_SCHEMA,
    ],
    "minItems": 2,
    "maxItems": 2,
}
_SCHEMA = {
    "anyOf": [
        {
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": MAX_TOKEN_CHARS},
            "additionalProperties": _BIAS_SCHEMA,
            "maxProperties": MAX_LOGIT_BIAS,
        },
        {"type": "array", "items": _PAIR_SCHEMA, "maxItems": MAX_LOGIT_BIAS},
    ]
}


def _token_biases(value: object) -> object:
    """OpenAI's object (whose keys may be ids) or llama-server's list of pairs, as token: bias."""
    biases = _by_token(value)
    for token in biases if isinstance(biases, dict) else ():
        if isinstance(token, str) and not 0 < len(token) <= MAX_TOKEN_CHARS:
            message = (
                f"names a text of {len(token)} characters, at least 1 and at most {MAX_TOKEN_CHARS}"
            )
            raise invalid("invalid_value", message)
    return biases


def _by_token(value: object) -> object:
    if isinstance(value, dict | list) and len(value) > MAX_LOGIT_BIAS:
        raise invalid("invalid_value", f"has {len(value)} entries, at most {MAX_LOGIT_BIAS}")
    if isinstance(value, list):
        return _summed(value)
    if not isinstance(value, dict):
        return value
    return {_token(key): bias for key, bias in value.items()}


def _token(key: str) -> int | str:
    """A token id, or the text of a token."""
    if not _WHOLE_NUMBER.fullmatch(key):
        return key
    if len(key) > MAX_ID_DIGITS or not 0 <= int(key) <= INT32_MAX:
        raise invalid("invalid_value", 'has a number as a key that is no token id such as "50256"')
    return int(key)


def _summed(pairs: list[object]) -> dict[object, object]:
    """Adds up the biases of one token; a ban stays a ban."""
    biases: dict[object, object] = {}
    for i, pair in enumerate(pairs):
        where = f"logit_bias.{i}"
        match pair:
            case [bool(), _]:
                raise invalid("invalid_type", "must be a pair: token id or text, bias", where)
            case [int() as token, _] if not 0 <= token <= INT32_MAX:
                raise invalid("invalid_value", f"has {token} where a token id should be", where)
            case [int() | str() as token, False]:
                biases[token] = False
            case [int() | str() as token, int() | float() as bias] if not isinstance(bias, bool):
                before = biases.get(token, 0)
                biases[token] = before if before is False else before + bias  # type: ignore[operator]
            case _:
                raise invalid("invalid_type", "must be a pair: token id or text, bias", where)
    return biases


def _bias_tag(value: object) -> str:
    return "<ban>" if value is False else "<bias>"


def _without_false(value: float) -> float:
    return BAN if value is False else value


Bias = Annotated[
    Annotated[Literal[False], Tag("<ban>")]
    | Annotated[float, Field(ge=-100, le=100), Tag("<bias>")],
    Discriminator(_bias_tag),
    AfterValidator(_without_false),
]
Token = Annotated[
    Annotated[TokenId, Tag("<id>")] | Annotated[str, Tag("<text>")],
    Discriminator(lambda token: "<id>" if isinstance(token, int) else "<text>"),
]
LogitBias = Annotated[dict[Token, Bias], BeforeValidator(_token_biases), WithJsonSchema(_SCHEMA)]
