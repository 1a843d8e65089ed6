"""Looks up the tokens that `logit_bias` names by their texts."""

from __future__ import annotations

from typing import TypeVar

from pyserve.engine.protocol import Engine
from pyserve.errors import InvalidRequestError
from pyserve.schemas.fields.sampling import SamplingFields

MAX_SHOWN_CHARS = 64

Body = TypeVar("Body", bound=SamplingFields)


def with_token_ids(body: Body, engine: Engine, *, splits_texts: bool = False) -> Body:
    """`body` with a logit_bias of token ids alone; biases of one token add up.

    splits_texts: as in llama-server a text of several tokens gives each of them its bias, once.
    Raises InvalidRequestError for another text that is not one token of the model.
    """
    given = body.logit_bias
    if not given or all(isinstance(token, int) for token in given):
        return body
    biases: dict[int | str, float] = {}
    for token, bias in given.items():
        is_id = isinstance(token, int)
        for token_id in {token} if is_id else _ids_of(str(token), engine, splits_texts):
            biases[token_id] = biases.get(token_id, 0.0) + bias  # a ban is minus infinity
    return body.model_copy(update={"logit_bias": biases})


def _ids_of(text: str, engine: Engine, splits: bool) -> set[int]:
    tokens = engine.tokenize(text, add_special=False, parse_special=True)
    if len(tokens) == 1 or (splits and tokens):
        return set(tokens)
    shown = text[:MAX_SHOWN_CHARS]
    message = f"logit_bias names {shown!r}, a text of {len(tokens)} tokens, but must name one token"
    raise InvalidRequestError(message, param=f"logit_bias.{text}"[:MAX_SHOWN_CHARS])
