"""When a front worker that is told to end begins to, and when it ends what still runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

FAREWELL_S = 3.0  # so long before the end of its time, streams are ended with an error event

_first_callbacks: list[Callable[[], None]] = []
_callbacks: list[Callable[[], None]] = []


def on_drain_begin(callback: Callable[[], None]) -> None:
    """Have `callback` called, in a thread of its own, when the worker begins to stop."""
    _first_callbacks.append(callback)


def on_drain_end(callback: Callable[[], None]) -> None:
    """The same shortly before `--graceful-timeout-s` or `--reload-timeout-s` ends it."""
    _callbacks.append(callback)


def begin_drain() -> None:
    """Call those of the begin."""
    for callback in _first_callbacks:
        callback()


def end_drain() -> None:
    """Call those of the end."""
    for callback in _callbacks:
        callback()


def call_later(seconds: float, callback: Callable[[], None]) -> None:
    """Have it called in a thread of its own, which keeps no process from its end."""
    timer = threading.Timer(max(seconds, 0.0), callback)
    timer.daemon = True
    timer.start()


class Drain:
    """The times of one worker's end.

    stop_s: how long its requests may go on when the server stops.
    retire_s: the same when other workers take its place.
    Thread: the main one, in which signals come.
    """

    def __init__(
        self,
        stop_s: int,
        retire_s: int,
        later: Callable[[float, Callable[[], None]], None] = call_later,
    ) -> None:
        self._stop_s = stop_s
        self._retire_s = max(stop_s, retire_s)
        self._later = later
        self._has_begun = False
        self._is_stop = False

    @property
    def longest_s(self) -> int:
        return self._retire_s

    def tell(self, *, is_stop: bool) -> None:
        """The worker is told to end, perhaps once more. is_stop: because the server stops."""
        if not self._has_begun:
            self._later(0.0, begin_drain)
        if is_stop and not self._is_stop:
            self._later(self._stop_s - FAREWELL_S, end_drain)
        elif not self._has_begun:
            self._later(self._retire_s - FAREWELL_S, end_drain)
        self._has_begun = True
        self._is_stop = self._is_stop or is_stop
