"""The lines of a streamed answer; the only one of a plain answer has all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Finish, FinishReason, TokenLogprob
from pyserve.ollama.times import rfc3339, utc_now
from pyserve.openai.logprobs import finite

NS_PER_MS = 1_000_000


class OllamaFunction(msgspec.Struct, frozen=True):
    """A called function; index: its place among the calls of the answer."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaCall(msgspec.Struct, frozen=True):
    """A tool call."""

    id: str
    function: OllamaFunction


class OllamaAlternative(msgspec.Struct, frozen=True):
    """A token that could have been; bytes: of its text, which may be a part of a character."""

    token: str
    logprob: float
    bytes: list[int]


class OllamaLogprob(msgspec.Struct, frozen=True):
    """A token of the answer."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[OllamaAlternative] | UnsetType = UNSET


class AnswerMessage(msgspec.Struct, frozen=True):
    """A part of the answer, or all of it. thinking: reasoning."""

    role: Literal["assistant"]
    content: str
    thinking: str | UnsetType = UNSET
    tool_calls: list[OllamaCall] | UnsetType = UNSET


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the last line has more. Durations are in nanoseconds."""

    done: bool = False
    done_reason: FinishReason | Literal["load", "unload"] | UnsetType = UNSET
    logprobs: list[OllamaLogprob] | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class OllamaChat(Counts, frozen=True, kw_only=True):
    """A line of a chat. created_at: when the request came, as RFC 3339 has it."""

    model: str
    created_at: str
    message: AnswerMessage


class OllamaText(Counts, frozen=True, kw_only=True):
    """A line of an answered prompt. thinking: reasoning."""

    model: str
    created_at: str
    response: str
    thinking: str | UnsetType = UNSET


Line = OllamaChat | OllamaText


class Clock:
    """Measures a request from now on. created_s: Unix seconds of its begin, None: now."""

    def __init__(self, created_s: float | None = None) -> None:
        begin = utc_now() if created_s is None else datetime.fromtimestamp(created_s, UTC)
        self.created_at = rfc3339(begin)
        self._began_ns = time.monotonic_ns()
        self._load_ns = 0

    def loaded(self) -> None:
        """The model is there: until now it was waited for."""
        self._load_ns = self.total_ns

    @property
    def total_ns(self) -> int:
        return time.monotonic_ns() - self._began_ns

    @property
    def load_ns(self) -> int:
        return self._load_ns

    def counts(self, finish: Finish) -> dict[str, Any]:
        """The fields of the last line."""
        return {
            "done": True,
            "done_reason": finish.reason,
            "total_duration": self.total_ns,
            "load_duration": self.load_ns,
            "prompt_eval_count": finish.usage.n_prompt_tokens,
            "prompt_eval_duration": round(finish.timings.prompt_ms * NS_PER_MS),
            "eval_count": finish.usage.n_completion_tokens,
            "eval_duration": round(finish.timings.decode_ms * NS_PER_MS),
        }


class LineMaker:
    """Makes the lines of one request. is_chat: of a chat, else of a prompt."""

    def __init__(self, model: str, clock: Clock, *, is_chat: bool) -> None:
        self.clock = clock
        self._head: dict[str, Any] = {"model": model, "created_at": clock.created_at}
        self._is_chat = is_chat

    def line(
        self,
        text: str = "",
        *,
        thinking: str = "",
        calls: Sequence[OllamaCall] = (),
        **more: Any,
    ) -> Line:
        """more: fields of `Counts`."""
        thought = thinking or UNSET
        if not self._is_chat:
            return OllamaText(**self._head, response=text, thinking=thought, **more)
        message = AnswerMessage("assistant", text, thought, list(calls) or UNSET)
        return OllamaChat(**self._head, message=message, **more)


def ollama_logprobs(tokens: Sequence[TokenLogprob]) -> list[OllamaLogprob]:
    return [
        OllamaLogprob(
            _text(token.piece),
            finite(token.logprob),
            list(token.piece),
            [
                OllamaAlternative(_text(best.piece), finite(best.logprob), list(best.piece))
                for best in token.top
            ]
            or UNSET,
        )
        for token in tokens
    ]


def _text(piece: bytes) -> str:
    return piece.decode(errors="replace")
