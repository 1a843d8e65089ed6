"""`logit_bias`: OpenAI's object, or llama-server's list of pairs; `false` bans a token."""

from __future__ import annotations

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
BAN = float("-inf")
_BIAS_SCHEMA = {"anyOf": [{"type": "number", "minimum": -100, "maximum": 100}, {"const": False}]}
_PAIR_SCHEMA = {
    "type": "array",
    "prefixItems": [{"type": "integer", "minimum": 0, "maximum": INT32_MAX}, _BIAS_SCHEMA],
    "minItems": 2,
    "maxItems": 2,
}
_SCHEMA = {
    "anyOf": [
        {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,10}$"},
            "additionalProperties": _BIAS_SCHEMA,
            "maxProperties": MAX_LOGIT_BIAS,
        },
        {"type": "array", "items": _PAIR_SCHEMA, "maxItems": MAX_LOGIT_BIAS},
    ]
}


def _token_biases(value: object) -> object:
    """OpenAI's object (keys are strings in JSON) or llama-server's list of pairs, as id: bias."""
    if isinstance(value, dict | list) and len(value) > MAX_LOGIT_BIAS:
        raise invalid("invalid_value", f"has {len(value)} entries, at most {MAX_LOGIT_BIAS}")
    if isinstance(value, list):
        return _summed(value)
    if not isinstance(value, dict):
        return value
    for key in value:
        if not (key.isascii() and key.isdigit() and len(key) <= 10 and int(key) <= INT32_MAX):  # noqa: PLR2004
            raise invalid("invalid_value", 'keys must be token ids such as "50256"')
    return {int(key): bias for key, bias in value.items()}


def _summed(pairs: list[object]) -> dict[object, object]:
    """Adds up the biases of one token; a ban stays a ban."""
    biases: dict[object, object] = {}
    for i, pair in enumerate(pairs):
        where = f"logit_bias.{i}"
        match pair:
            case [str(), _]:
                raise invalid("unsupported_parameter", "must name the token by its id", where)
            case [bool(), _]:
                raise invalid("invalid_type", "must be a pair: token id, bias", where)
            case [int() as token, _] if not 0 <= token <= INT32_MAX:
                raise invalid("invalid_value", f"has {token} where a token id should be", where)
            case [int() as token, False]:
                biases[token] = False
            case [int() as token, int() | float() as bias] if not isinstance(bias, bool):
                before = biases.get(token, 0)
                biases[token] = before if before is False else before + bias  # type: ignore[operator]
            case _:
                raise invalid("invalid_type", "must be a pair: token id, bias", where)
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
LogitBias = Annotated[dict[TokenId, Bias], BeforeValidator(_token_biases), WithJsonSchema(_SCHEMA)]
