"""The two shapes of log-probabilities: objects with bytes (chat), parallel arrays (completions)."""

from __future__ import annotations

import codecs
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


class LegacyLogprobs(msgspec.Struct, frozen=True):
    """The `logprobs` of a completions choice: arrays with one entry per token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


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


def _legacy_text(piece: bytes) -> str:
    r"""The token's text, or `bytes:\xe2\x80` for a part of a character (so that keys differ)."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


class LegacyLogprobsWriter:
    """Keeps the text offset of one choice while its tokens come in pieces.

    n_chars: where the choice's text starts, in characters of prompt and text.
    """

    def __init__(self, n_chars: int) -> None:
        self._n_chars = n_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, tokens: Sequence[TokenLogprob]) -> LegacyLogprobs:
        """The arrays of the next tokens of the choice."""
        offsets = []
        for token in tokens:
            offsets.append(self._n_chars)
            self._n_chars += len(self._decoder.decode(token.piece))
        return LegacyLogprobs(
            tokens=[_legacy_text(token.piece) for token in tokens],
            token_logprobs=[finite(token.logprob) for token in tokens],
            top_logprobs=[_with_itself(token) for token in tokens],
            text_offset=offsets,
        )


def _with_itself(token: TokenLogprob) -> dict[str, float]:
    """The alternatives, and the sampled token whether or not it is among them."""
    top = {_legacy_text(best.piece): finite(best.logprob) for best in token.top}
    return top | {_legacy_text(token.piece): finite(token.logprob)}
