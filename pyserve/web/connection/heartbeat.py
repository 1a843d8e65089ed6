"""The worker's heartbeat to gunicorn's master; ignores time in which the master was stopped."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers.workertmp import WorkerTmp  # type: ignore[import-untyped]

from pyserve.process.clock import OwnClock


class Heartbeat(WorkerTmp):  # type: ignore[misc]
    """The file that a worker touches; its master kills it when the last touch is too old.

    Time in which the master stood still does not count: a frozen container freezes both, and the
    worker has missed nothing. REQUIRES: `last_update` is called about every second, by one thread.
    The master also says here that all is being stopped, and not this worker alone.
    """

    def __init__(self, cfg: Any, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(cfg)
        self._now = now
        self._own_clock = OwnClock(now)
        self._read_at = self._own_clock()
        self._touched_at = 0.0
        self._silent_s = 0.0
        self._stop = mmap.mmap(-1, 1)  # shared with the processes that are forked

    @property
    def is_stop_announced(self) -> bool:
        return self._stop[0] != 0

    def announce_stop(self) -> None:
        self._stop[0] = 1

    def last_update(self) -> float:
        """The time of the last heartbeat, on a clock that stopped while the master was stopped."""
        own_now = self._own_clock()
        touched_at: float = super().last_update()
        is_new = touched_at != self._touched_at
        self._silent_s = 0.0 if is_new else self._silent_s + own_now - self._read_at
        self._read_at, self._touched_at = own_now, touched_at
        return max(touched_at, self._now() - self._silent_s)  # before the first touch: far ahead
