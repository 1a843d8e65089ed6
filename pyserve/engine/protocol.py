"""What an engine is to the rest of pyserve: requests in, deltas out.

Three implementations: `LocalEngine` (native, in this process), `RemoteEngine` (an engine process
behind a Unix socket) and `FakeEngine` (scripted). All text is `str`; token ids are `int`; times are
milliseconds; log-probabilities are natural logarithms of the model's own distribution (before
temperature and the other samplers, after logit_bias has been left out).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from pyserve.engine.events import (
    Accepted,
    Delta,
    Event,
    Failed,
    Finish,
    FinishReason,
    Step,
    Timings,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from pyserve.engine.model_info import (
    EngineStats,
    ModelInfo,
)
from pyserve.engine.request import (
    GenerateRequest,
    SamplingParams,
    Segment,
    TemplateOptions,
    ThinkingLimit,
)

__all__ = [
    "Accepted",
    "Delta",
    "Engine",
    "EngineCore",
    "EngineStats",
    "Event",
    "Failed",
    "Finish",
    "FinishReason",
    "GenerateRequest",
    "ModelInfo",
    "SamplingParams",
    "Segment",
    "Step",
    "TemplateOptions",
    "ThinkingLimit",
    "Timings",
    "TokenLogprob",
    "TokenStream",
    "TopLogprob",
    "Usage",
]


class EngineCore(Protocol):
    """The engine itself, without threads of Python: events are pulled by one consumer.

    Implemented by the native engine and by the scripted fake. Every submitted request ends in
    exactly one last event: a Step with `finish`, or Failed. `poll` is for one thread; every other
    method may be called from any thread.
    """

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        """Queue a request under an id chosen by the caller, unique among unfinished requests.

        Returns at once. Raises QueueFullError; every later error is a Failed event.
        """
        ...

    def cancel(self, request_id: int) -> None:
        """End a request with Failed(code `cancelled`). Unknown or finished ids are ignored."""
        ...

    def poll(self, timeout_s: float) -> list[Event]:
        """All events since the last call, in order; waits for the first one. [] = time over.

        Raises UnavailableError after `close`.
        """
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]: ...

    def detokenize(self, tokens: list[int]) -> str: ...

    def pieces(self, tokens: list[int]) -> list[bytes]: ...

    def render(
        self, messages: list[dict[str, Any]], options: TemplateOptions | None = None
    ) -> str: ...

    def tokenize_chat(
        self, messages: list[dict[str, Any]], options: TemplateOptions | None = None
    ) -> list[int]: ...

    def tokenize_segments(self, segments: list[Segment]) -> list[int]: ...

    def info(self) -> ModelInfo: ...

    def stats(self) -> EngineStats: ...

    def adapter_scales(self, scales: dict[str, float]) -> dict[str, float]: ...

    def close(self) -> None: ...


class TokenStream(Protocol):
    """One running request. Used by one thread; `cancel` and `close` may come from any thread."""

    @property
    def n_prompt_tokens(self) -> int | None:
        """Tokens of the rendered prompt; None until the engine has accepted the request."""
        ...

    def wait_accepted(self, timeout_s: float | None = None) -> bool:
        """Wait until the prompt was rendered, tokenized and admitted.

        Returns False when the time is over. Raises the request's error (for example
        ContextLengthExceededError) if it failed before it was accepted.
        """
        ...

    def get(self, timeout_s: float | None = None) -> Delta | None:
        """The next delta, in order; None when the time is over.

        Raises the request's error when it failed or was cancelled. Must not be called again
        after a delta with `finish`, or after an error.
        """
        ...

    def __iter__(self) -> Iterator[Delta]:
        """All remaining deltas up to and including the one with `finish`."""
        ...

    def cancel(self) -> None:
        """Stop computing. Idempotent; does nothing to a finished request."""
        ...


class Engine(Protocol):
    """A loaded model that runs many requests at once. Any thread may call any method."""

    def submit(self, request: GenerateRequest) -> TokenStream:
        """Queue a request and return at once.

        Raises QueueFullError when the wait queue is full, UnavailableError when the engine is gone.
        """
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`. add_special adds BOS/EOS where the model wants them."""
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Text of `tokens`; bytes that are not UTF-8 become U+FFFD."""
        ...

    def pieces(self, tokens: list[int]) -> list[bytes]:
        """The bytes of each token, maybe a part of a UTF-8 character."""
        ...

    def render(self, messages: list[dict[str, Any]], options: TemplateOptions | None = None) -> str:
        """The prompt text that the chat template makes of `messages`."""
        ...

    def tokenize_chat(
        self, messages: list[dict[str, Any]], options: TemplateOptions | None = None
    ) -> list[int]:
        """The tokens of that prompt, exactly as a request with these messages gets them."""
        ...

    def tokenize_segments(self, segments: list[Segment]) -> list[int]:
        """The tokens of a rendered prompt, exactly as a request with these segments gets them."""
        ...

    def info(self) -> ModelInfo: ...

    def stats(self) -> EngineStats: ...

    def adapter_scales(self, scales: dict[str, float]) -> dict[str, float]:
        """Set default scales of LoRA adapters, by name; returns all of them.

        Requests that name no adapters get them. Raises InvalidRequestError for an unknown name.
        """
        ...

    def close(self) -> None:
        """End all requests with CancelledError and free the model. Idempotent."""
        ...
