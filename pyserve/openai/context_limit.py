"""`num_ctx`, and the `max_context` of API keys: a smaller context than the model's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec

from pyserve.engine.calls import Askable, Call, GetInfo
from pyserve.engine.protocol import Engine, GenerateRequest, TokenStream
from pyserve.errors import ContextLengthExceededError

T = TypeVar("T")


def usable_context(engine: Engine, n_ctx: int | None) -> int:
    """The context of a request that wants at most `n_ctx` tokens; None: the model's."""
    n_most = engine.info().n_ctx
    return n_most if n_ctx is None else min(n_ctx, n_most)


def within_context(
    engine: Engine, requests: Sequence[GenerateRequest], n_ctx: int | None
) -> list[GenerateRequest]:
    """The requests with answers so short that prompt and answer have at most `n_ctx` tokens.

    Raises ContextLengthExceededError for a prompt that leaves no room.
    """
    if n_ctx is None or n_ctx >= engine.info().n_ctx:
        return list(requests)
    counted = zip(requests, count_prompts(engine, requests), strict=True)
    return [_limited(request, n_prompt, n_ctx, "num_ctx") for request, n_prompt in counted]


def count_prompts(engine: Engine, requests: Sequence[GenerateRequest]) -> list[int]:
    """The number of tokens in the prompt of each request."""
    counts: list[int] = []
    for request, is_own in zip(requests, have_own_prompts(requests), strict=True):
        counts.append(_n_prompt_tokens(engine, request) if is_own else counts[-1])
    return counts


def have_own_prompts(requests: Sequence[GenerateRequest]) -> list[bool]:
    """Whether each request has another prompt than the one before it: else it is a choice of it."""
    pairs = itertools.pairwise(requests)
    return [True, *(not _has_same_prompt(one, other) for one, other in pairs)][: len(requests)]


class BoundedEngine(Askable):
    """Implements `Engine` over another one, which stays the caller's to close. Any thread.

    n_ctx: most tokens of a prompt and its answer, where the model has more.
    """

    def __init__(self, engine: Engine, n_ctx: int) -> None:
        self._engine = engine
        self._n_ctx = n_ctx

    def submit(self, request: GenerateRequest) -> TokenStream:
        """As `Engine.submit`; raises ContextLengthExceededError for a prompt without room."""
        if self._n_ctx < self._engine.info().n_ctx:
            n_prompt = _n_prompt_tokens(self._engine, request)
            request = _limited(request, n_prompt, self._n_ctx, "this API key's context")
        return self._engine.submit(request)

    def ask(self, call: Call[T]) -> T:
        answer: Any = self._engine.ask(call)
        if isinstance(call, GetInfo):
            answer = msgspec.structs.replace(answer, n_ctx=min(answer.n_ctx, self._n_ctx))
        return cast(T, answer)

    def close(self) -> None:
        self._engine.close()


def _limited(request: GenerateRequest, n_prompt: int, n_ctx: int, name: str) -> GenerateRequest:
    """The request with an answer that fits into `n_ctx`, which messages call `name`."""
    n_room = n_ctx - n_prompt
    if n_room < 0 or (n_room == 0 and not request.is_pooled):
        message = f"the prompt has {n_prompt:,} tokens, {name} is {n_ctx:,}"
        raise ContextLengthExceededError(message, n_prompt_tokens=n_prompt, n_ctx=n_ctx)
    if request.is_pooled:
        return request
    n_max = n_room if request.max_tokens is None else min(request.max_tokens, n_room)
    return msgspec.structs.replace(request, max_tokens=n_max)


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
