"""`logprobs` of chats, one object per token with its bytes, and vLLM's `prompt_logprobs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pyserve.engine.protocol import TokenLogprob, TopLogprob

TokenName = Callable[[TokenLogprob | TopLogprob], str]

LOWEST_LOGPROB = -9999.0  # JSON has no infinity


class ChatTopLogprob(msgspec.Struct, frozen=True):
    """An alternative; `bytes` lets a client rebuild a character split over tokens."""

    token: str
    logprob: float
    bytes: list[int]


class ChatTokenLogprob(msgspec.Struct, frozen=True):
    """A token of the answer."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[ChatTopLogprob]


class ChatLogprobs(msgspec.Struct, frozen=True):
    """The `logprobs` of a chat choice."""

    content: list[ChatTokenLogprob]
    refusal: None = None


class PromptLogprob(msgspec.Struct, frozen=True):
    """A token at a place of the prompt. rank: 1 is the likeliest there; null: below those told."""

    logprob: float
    rank: int | None
    decoded_token: str


# By token id, at each place of a prompt; nothing precedes the first one.
PromptLogprobs = list[dict[str, PromptLogprob] | None]


def finite(logprob: float) -> float:
    """`logprob`, or LOWEST_LOGPROB for one that is lower or not a number."""
    return logprob if logprob > LOWEST_LOGPROB else LOWEST_LOGPROB


def chat_logprobs(tokens: Sequence[TokenLogprob], *, has_ids: bool = False) -> ChatLogprobs:
    """has_ids: tokens are named by their ids."""
    name = id_name if has_ids else _text
    return ChatLogprobs([_chat_token(token, name) for token in tokens])


def n_ranked(n_top: int | None) -> int | None:
    """The alternatives that the engine is asked for, so that the likeliest token has its rank."""
    return None if n_top is None else max(n_top, 1)


def prompt_logprobs(tokens: Sequence[TokenLogprob], n_top: int) -> PromptLogprobs:
    """Each token of a prompt, and `n_top` alternatives."""
    return [_at_place(token, n_top) if i > 0 else None for i, token in enumerate(tokens)]


def with_fewer(tokens: Sequence[TokenLogprob], n_top: int) -> list[TokenLogprob]:
    """The tokens with `n_top` alternatives, of more."""
    return [msgspec.structs.replace(token, top=token.top[:n_top]) for token in tokens]


def id_name(token: TokenLogprob | TopLogprob) -> str:
    """A token by its id, as vLLM writes it."""
    return f"token_id:{token.token}"


def _at_place(token: TokenLogprob, n_top: int) -> dict[str, PromptLogprob]:
    """The token itself first, then the alternatives, the likeliest first."""
    ranks = {best.token: rank for rank, best in enumerate(token.top, 1)}
    shown: list[TokenLogprob | TopLogprob] = [token, *token.top[:n_top]]
    return {
        str(each.token): PromptLogprob(finite(each.logprob), ranks.get(each.token), _text(each))
        for each in shown
    }


def _chat_token(token: TokenLogprob, name: TokenName) -> ChatTokenLogprob:
    top = [ChatTopLogprob(name(best), finite(best.logprob), list(best.piece)) for best in token.top]
    return ChatTokenLogprob(name(token), finite(token.logprob), list(token.piece), top)


def _text(token: TokenLogprob | TopLogprob) -> str:
    return token.piece.decode(errors="replace")
