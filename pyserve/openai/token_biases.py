"""Looks up the tokens that `logit_bias` names by their texts."""

from __future__ import annotations

from typing import TypeVar

from pyserve.engine.protocol import Engine
from pyserve.errors import InvalidRequestError
from pyserve.schemas.fields.sampling import SamplingFields

MAX_SHOWN_CHARS = 64

Body = TypeVar("Body", bound=SamplingFields)


def with_token_ids(body: Body, engine: Engine) -> Body:
    """`body` with a logit_bias of token ids alone; biases of one token add up.

    Raises InvalidRequestError for a text that is not one token of the model.
    """
    given = body.logit_bias
    if not given or all(isinstance(token, int) for token in given):
        return body
    biases: dict[int | str, float] = {}
    for token, bias in given.items():
        token_id = token if isinstance(token, int) else _id_of(token, engine)
        biases[token_id] = biases.get(token_id, 0.0) + bias  # a ban is minus infinity
    return body.model_copy(update={"logit_bias": biases})


def _id_of(text: str, engine: Engine) -> int:
    tokens = engine.tokenize(text, add_special=False, parse_special=True)
    if len(tokens) != 1:
        message = f"logit_bias names a text of {len(tokens)} tokens, but must name one token"
        raise InvalidRequestError(message, param=f"logit_bias.{text}"[:MAX_SHOWN_CHARS])
    return tokens[0]
