"""`logprobs` of chats: one object per token, with its bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pyserve.engine.protocol import TokenLogprob

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


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> ChatLogprobs:
    return ChatLogprobs([_chat_token(token) for token in tokens])


def _chat_token(token: TokenLogprob) -> ChatTokenLogprob:
    top = [
        ChatTopLogprob(_text(best.piece), finite(best.logprob), list(best.piece))
        for best in token.top
    ]
    return ChatTokenLogprob(_text(token.piece), finite(token.logprob), list(token.piece), top)


def _text(piece: bytes) -> str:
    return piece.decode(errors="replace")
