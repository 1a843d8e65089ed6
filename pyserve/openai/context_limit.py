"""`num_ctx`: holds a request to a smaller context than the model's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pyserve.engine.protocol import Engine, GenerateRequest
from pyserve.errors import ContextLengthExceededError, InvalidRequestError


def usable_context(engine: Engine, n_ctx: int | None) -> int:
    """The context of a request that asks for `n_ctx` tokens; None: the model's.

    Raises InvalidRequestError if the model's is smaller.
    """
    n_most = engine.info().n_ctx
    if n_ctx is not None and n_ctx > n_most:
        message = f"num_ctx is {n_ctx:,}, but the model's context has {n_most:,} tokens"
        raise InvalidRequestError(message, param="num_ctx")
    return n_most if n_ctx is None else n_ctx


def within_context(
    engine: Engine, requests: Sequence[GenerateRequest], n_ctx: int | None
) -> list[GenerateRequest]:
    """The requests with answers so short that prompt and answer have at most `n_ctx` tokens.

    Raises ContextLengthExceededError for a prompt that leaves no room, and as `usable_context`.
    """
    if n_ctx is None:
        return list(requests)
    usable_context(engine, n_ctx)
    limited: list[GenerateRequest] = []
    n_prompt, counted = 0, None
    for request in requests:
        if counted is None or not _has_same_prompt(request, counted):
            n_prompt, counted = _n_prompt_tokens(engine, request), request
        if n_prompt >= n_ctx:
            message = f"the prompt has {n_prompt:,} tokens, num_ctx is {n_ctx:,}"
            raise ContextLengthExceededError(message, n_prompt_tokens=n_prompt, n_ctx=n_ctx)
        n_room = n_ctx - n_prompt
        n_max = n_room if request.max_tokens is None else min(request.max_tokens, n_room)
        limited.append(msgspec.structs.replace(request, max_tokens=n_max))
    return limited


def _has_same_prompt(one: GenerateRequest, other: GenerateRequest) -> bool:
    """Whether two requests are choices of one prompt, which they then share."""
    return (
        one.messages is other.messages
        and one.prompt is other.prompt
        and one.segments is other.segments
        and one.tokens is other.tokens
    )


def _n_prompt_tokens(engine: Engine, request: GenerateRequest) -> int:
    if request.tokens is not None:
        return len(request.tokens)
    if request.messages is not None:
        return len(engine.tokenize_chat(request.messages, request.template))
    if request.segments is not None:
        return len(engine.tokenize_segments(request.segments))
    return len(engine.tokenize(request.prompt or "", add_special=True, parse_special=False))
