"""A monotonic clock that stops while the process is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

MAX_GAP_S = 5.0


class OwnClock:
    """A monotonic clock in seconds that stands still while its process is stopped.

    Whoever stops a process tree (a frozen container, a debugger, Ctrl-Z) stops its children too:
    they have missed no deadline when all go on. REQUIRES: it is read more often than every
    `MAX_GAP_S` while the process runs. Thread: one.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self._n_lost_s = 0.0

    def __call__(self) -> float:
        now = self._now()
        gap_s = now - self._last
        self._last = now
        if gap_s > MAX_GAP_S:
            self._n_lost_s += gap_s
        return now - self._n_lost_s
