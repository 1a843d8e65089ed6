"""The engine interface: requests in, streams of deltas out.

Three implementations: `LocalEngine` (native, in this process), `RemoteEngine` (an engine process
behind a Unix socket) and `FakeEngine` (scripted). All text is `str`; token ids are `int`; times are
milliseconds; log-probabilities are natural logarithms of the model's own distribution (before
temperature and the other samplers, after logit_bias has been left out).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pyserve.engine.calls import Askable
from pyserve.engine.events import (
    Accepted,
    Delta,
    Event,
    Failed,
    Finish,
    FinishReason,
    Progress,
    Step,
    Timings,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from pyserve.engine.model_info import (
    EngineStats,
    ModelInfo,
    PairTokens,
)
from pyserve.engine.request import (
    GenerateRequest,
    SamplerValues,
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
    "PairTokens",
    "Progress",
    "SamplerValues",
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


class EngineCore(Askable, Protocol):
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

    def close(self) -> None: ...


class TokenStream(Protocol):
    """One running request. Used by one thread; `cancel` and `close` may come from any thread."""

    @property
    def n_prompt_tokens(self) -> int | None:
        """Tokens of the rendered prompt; None until the engine has accepted the request."""
        ...

    @property
    def progress(self) -> Progress | None:
        """Where it is, as the engine has last told; None: not yet."""
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


class Engine(Askable, Protocol):
    """A loaded model that runs many requests at once. Any thread may call any method."""

    def submit(self, request: GenerateRequest) -> TokenStream:
        """Queue a request and return at once.

        Raises QueueFullError when the wait queue is full, UnavailableError when the engine is gone.
        """
        ...

    def close(self) -> None:
        """End all requests with CancelledError and free the model. Idempotent."""
        ...
