"""What a request has cost: tokens, times, how it ended. For quotas, usage, the log and traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyserve.engine.protocol import Delta, Finish
from pyserve.errors import PyserveError

CANCELLED = "cancelled"


@dataclass(frozen=True)
class Work:
    """The cost of one request. A prompt of several choices counts once.

    finish: its finish reason, "cancelled" or the code of an error. queue_ms: the longest time that
    a part of it was queued. first_token_ms: since it was admitted, None: nothing came.
    tokens_per_s: after the first one, None: there were none. asked: parameters of the request.
    """

    n_prompt_tokens: int
    n_cached_tokens: int
    n_completion_tokens: int
    finish: str
    queue_ms: float
    first_token_ms: float | None
    tokens_per_s: float | None
    tenant: str
    priority: int
    asked: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_tokens(self) -> int:
        return self.n_prompt_tokens + self.n_completion_tokens


@dataclass(frozen=True)
class Part:
    """One engine request of it. has_own_prompt: not that of the one before it.

    n_prompt_tokens, n_completion_tokens: so far, where it has not finished.
    """

    has_own_prompt: bool
    n_prompt_tokens: int
    n_completion_tokens: int


class Tally:
    """Watches the deltas of one request. Thread: whoever reads them; `work` comes after them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._first_at: float | None = None
        self._last_at = 0.0
        self._finishes: dict[int, Finish] = {}
        self._code: str | None = None

    def see(self, index: int, delta: Delta) -> None:
        """A delta of the engine request `index` has come."""
        self._last_at = self._clock()
        if self._first_at is None:
            self._first_at = self._last_at
        if delta.finish is not None:
            self._finishes[index] = delta.finish

    def fail(self, error: BaseException) -> None:
        """The request ends with this error."""
        if isinstance(error, PyserveError):
            self._code = error.code
        elif isinstance(error, Exception):
            self._code = "internal_error"

    def work(
        self,
        parts: list[Part],
        *,
        tenant: str,
        priority: int,
        asked: Mapping[str, float] | None = None,
    ) -> Work:
        """All of it. parts: the engine requests that were submitted, by index."""
        n_prompt = n_cached = n_completion = 0
        for index, part in enumerate(parts):
            finish = self._finishes.get(index)
            if finish is None:
                n_prompt += part.n_prompt_tokens * part.has_own_prompt
                n_completion += part.n_completion_tokens
            else:
                n_prompt += finish.usage.n_prompt_tokens * part.has_own_prompt
                n_cached += finish.usage.n_cached_tokens * part.has_own_prompt
                n_completion += finish.usage.n_completion_tokens
        return Work(
            n_prompt_tokens=n_prompt,
            n_cached_tokens=n_cached,
            n_completion_tokens=n_completion,
            finish=self._finish(len(parts)),
            queue_ms=max((each.timings.queue_ms for each in self._finishes.values()), default=0.0),
            first_token_ms=None
            if self._first_at is None
            else (self._first_at - self._began_at) * 1000,
            tokens_per_s=self._rate(n_completion - len(parts)),
            tenant=tenant,
            priority=priority,
            asked=asked or {},
        )

    def _finish(self, n_parts: int) -> str:
        if self._code is not None:
            return self._code
        if len(self._finishes) < max(n_parts, 1):
            return CANCELLED
        return ",".join(sorted({each.reason for each in self._finishes.values()}))

    def _rate(self, n_later_tokens: int) -> float | None:
        seconds = self._last_at - (self._first_at or 0.0)
        return n_later_tokens / seconds if n_later_tokens > 0 and seconds > 0 else None
