"""Those who wait for events of models: some, as long as the worker does not stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from flask import Flask

from pyserve.errors import QueueFullError
from pyserve.openai.server.pulls import Seen, model_events
from pyserve.web.answer.sse import KEEP_ALIVE, frame

MAX_WATCHERS = 16  # of a front worker
EVERY_S = 0.5
_KEY = "pyserve.watchers"


def watchers_of(app: Flask) -> Watchers:
    found: Watchers = app.extensions.setdefault(_KEY, Watchers())
    return found


class Watchers:
    """Those of a worker. Any thread."""

    def __init__(self, n_max: int = MAX_WATCHERS) -> None:
        self._places = threading.BoundedSemaphore(n_max)
        self._stopping = threading.Event()
        self._n_max = n_max

    def stop(self) -> None:
        """Have all streams end, and those that come."""
        self._stopping.set()

    def enter(self) -> Callable[[], None]:
        """Take a place; returns what gives it back, once. Raises QueueFullError."""
        if not self._places.acquire(blocking=False):
            raise QueueFullError(f"{self._n_max} clients watch models already", retry_after_s=10)
        left = threading.Lock()

        def leave() -> None:
            if left.acquire(blocking=False):
                self._places.release()

        return leave

    def frames(
        self, look: Callable[[], Seen], check: Callable[[], None], keep_alive_s: float
    ) -> Iterator[bytes]:
        """Events as they come, the first at once. check: raises when the client has gone."""
        seen, told_at = Seen(), time.monotonic()
        while not self._stopping.is_set():
            check()
            before, seen = seen, look()
            told = b"".join(frame(event) for event in model_events(before, seen))
            if not told and time.monotonic() - told_at >= keep_alive_s:
                told = KEEP_ALIVE
            if told:
                told_at = time.monotonic()
                yield told
            self._stopping.wait(EVERY_S)
