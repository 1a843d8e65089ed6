"""`logprobs` of chats: one object per token, with its bytes."""

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


def finite(logprob: float) -> float:
    """`logprob`, or LOWEST_LOGPROB for one that is lower or not a number."""
    return logprob if logprob > LOWEST_LOGPROB else LOWEST_LOGPROB


def chat_logprobs(tokens: Sequence[TokenLogprob], *, has_ids: bool = False) -> ChatLogprobs:
    """has_ids: tokens are named by their ids."""
    name = id_name if has_ids else _text
    return ChatLogprobs([_chat_token(token, name) for token in tokens])


def id_name(token: TokenLogprob | TopLogprob) -> str:
    """A token by its id, as vLLM writes it."""
    return f"token_id:{token.token}"


def _chat_token(token: TokenLogprob, name: TokenName) -> ChatTokenLogprob:
    top = [ChatTopLogprob(name(best), finite(best.logprob), list(best.piece)) for best in token.top]
    return ChatTokenLogprob(name(token), finite(token.logprob), list(token.piece), top)


def _text(token: TokenLogprob | TopLogprob) -> str:
    return token.piece.decode(errors="replace")
