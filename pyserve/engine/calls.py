"""Calls to an engine beside generating (tokenize, render, info ...): a message and a method each.

A new call is a struct and a method here, a case in each core (`native.py`, `fake/core.py`), and
what the native engine does; or a case of what stands before each core (`prefixes/telling.py`).
Sockets and templates in between pass it on as it is.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from pyserve.engine.model_info import EngineStats, ModelInfo, PrefixDigest
from pyserve.engine.request import Segment, TemplateOptions

T = TypeVar("T")

Messages = list[dict[str, Any]]


class Call(msgspec.Struct, Generic[T], frozen=True, tag=True):
    """A question to an engine. answer_type: of the value that answers it, to decode it by.

    is_slow: it may take seconds, and must not keep others waiting.
    """

    answer_type: ClassVar[Any]
    is_slow: ClassVar[bool] = False


class Tokenize(Call[list[int]], frozen=True, tag=True):
    """Token ids of `text`. add_special adds BOS/EOS where the model wants them."""

    answer_type = list[int]
    text: str
    add_special: bool
    parse_special: bool


class Detokenize(Call[str], frozen=True, tag=True):
    """Text of `tokens`; bytes that are not UTF-8 become U+FFFD."""

    answer_type = str
    tokens: list[int]


class Pieces(Call[list[bytes]], frozen=True, tag=True):
    """The bytes of each token, maybe a part of a UTF-8 character."""

    answer_type = list[bytes]
    tokens: list[int]


class Render(Call[str], frozen=True, tag=True):
    """The prompt text that the chat template makes of `messages`."""

    answer_type = str
    messages: Messages
    options: TemplateOptions | None = None


class TokenizeChat(Call[list[int]], frozen=True, tag=True):
    """The tokens of that prompt, exactly as a request with these messages gets them."""

    answer_type = list[int]
    messages: Messages
    options: TemplateOptions | None = None


class TokenizeSegments(Call[list[int]], frozen=True, tag=True):
    """The tokens of a rendered prompt, exactly as a request with these segments gets them."""

    answer_type = list[int]
    segments: list[Segment]


class RenderSource(Call[list[Segment]], frozen=True, tag=True):
    """The prompt that a client's own Jinja template makes of `messages`, in a process of its own.

    Raises InvalidRequestError for a template that cannot be used, that refuses the messages, and
    for one that takes too long or too much memory.
    """

    answer_type = list[Segment]
    is_slow = True
    source: str
    messages: Messages
    options: TemplateOptions | None = None


class GetInfo(Call[ModelInfo], frozen=True, tag=True):
    """The engine's `ModelInfo`."""

    answer_type = ModelInfo


class GetStats(Call[EngineStats], frozen=True, tag=True):
    """The engine's counters, `EngineStats`."""

    answer_type = EngineStats


class ScaleAdapters(Call[dict[str, float]], frozen=True, tag=True):
    """Default scales of LoRA adapters by name; `scales` changes some first.

    Requests that name no adapters get them. Raises InvalidRequestError for an unknown name.
    """

    answer_type = dict[str, float]
    scales: dict[str, float]


class ClearPrefixes(Call[None], frozen=True, tag=True):
    """Requests that are submitted later find nothing that was computed before, in memory."""

    answer_type = None


class GetPrefixDigest(Call[PrefixDigest], frozen=True, tag=True):
    """Which prefixes the engine holds. known: the version that the asker has, 0 = none.

    What was submitted before the first of these calls is not told.
    """

    answer_type = PrefixDigest
    known: int = 0


AnyCall = (
    Tokenize
    | Detokenize
    | Pieces
    | Render
    | TokenizeChat
    | TokenizeSegments
    | RenderSource
    | GetInfo
    | GetStats
    | ScaleAdapters
    | ClearPrefixes
    | GetPrefixDigest
)


class Askable(Protocol):
    """Answers engine calls. Any thread may call any method; see the calls for their meaning."""

    def ask(self, call: Call[T]) -> T:
        """The answer to a call. Raises the errors that the call lists."""
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return self.ask(Tokenize(text, add_special, parse_special))

    def detokenize(self, tokens: list[int]) -> str:
        return self.ask(Detokenize(tokens))

    def pieces(self, tokens: list[int]) -> list[bytes]:
        return self.ask(Pieces(tokens))

    def render(self, messages: Messages, options: TemplateOptions | None = None) -> str:
        return self.ask(Render(messages, options))

    def tokenize_chat(
        self, messages: Messages, options: TemplateOptions | None = None
    ) -> list[int]:
        return self.ask(TokenizeChat(messages, options))

    def tokenize_segments(self, segments: list[Segment]) -> list[int]:
        return self.ask(TokenizeSegments(segments))

    def render_source(
        self, source: str, messages: Messages, options: TemplateOptions | None = None
    ) -> list[Segment]:
        return self.ask(RenderSource(source, messages, options))

    def info(self) -> ModelInfo:
        return self.ask(GetInfo())

    def stats(self) -> EngineStats:
        return self.ask(GetStats())

    def adapter_scales(self, scales: dict[str, float]) -> dict[str, float]:
        return self.ask(ScaleAdapters(scales))

    def clear_prefixes(self) -> None:
        self.ask(ClearPrefixes())

    def prefix_digest(self, known: int = 0) -> PrefixDigest:
        return self.ask(GetPrefixDigest(known))
