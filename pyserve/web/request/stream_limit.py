"""`--max-streams`: limits the generating requests in work in one front worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyserve.errors import QueueFullError
from pyserve.process.once import once

N_REMEMBERED = 16
MAX_DRAIN_S = 60.0


def share_of_one(n_max: int) -> int:
    """The most of `n_max` requests that one of several keys may have in work at once."""
    return max(n_max - max(n_max // 4, 1), 1)


class StreamLimit:
    """Counts requests in work. Any thread may call any method."""

    def __init__(self, n_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_max = n_max
        self._clock = clock
        self._released_at: deque[float] = deque(maxlen=N_REMEMBERED)
        self._n = 0
        self._lock = threading.Lock()

    @property
    def n_held(self) -> int:
        return self._n

    def check(self) -> None:
        """Raises the error that `acquire` would raise now."""
        with self._lock:
            self._check()

    def acquire(self, on_release: Callable[[], None] = lambda: None) -> Permit:
        """Never waits; `on_release` is called once, when the permit is released.

        Raises QueueFullError when `n_max` permits are held; its retry_after_s is the estimated time
        until half of them are released.
        """
        with self._lock:
            self._check()
            self._n += 1
        return Permit(once(partial(self._release, on_release)))

    def _check(self) -> None:
        if self._n >= self._n_max:
            message = f"the server is busy with {self._n} requests"
            raise QueueFullError(message, retry_after_s=self._drain_s() / 2)

    def _drain_s(self) -> float:
        """Estimated seconds until all requests in work are done, at the rate of the last ones."""
        if len(self._released_at) < N_REMEMBERED:
            return 0.0
        interval_s = (self._clock() - self._released_at[0]) / len(self._released_at)
        return min(self._n * interval_s, MAX_DRAIN_S)

    def _release(self, on_release: Callable[[], None]) -> None:
        with self._lock:
            self._n -= 1
            self._released_at.append(self._clock())
        on_release()


@dataclass(frozen=True)
class Permit:
    """The right to generate. `release` may come twice, and from any thread."""

    release: Callable[[], None]
