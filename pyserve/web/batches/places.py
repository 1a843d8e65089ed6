"""How many lines of all batches are worked on at once in this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Places:
    """Given to those who wait in turn, so that batches share them. Any thread."""

    def __init__(self, n: int) -> None:
        self._changed = threading.Condition()
        self._n = n
        self._n_taken = 0
        self._waiting: deque[object] = deque()

    def resize(self, n: int) -> None:
        with self._changed:
            self._n = n
            self._changed.notify_all()

    @contextmanager
    def one(self, check: Callable[[], None], poll_s: float = 1.0) -> Iterator[None]:
        """Wait for a place and hold it. check: raises when it is not wanted any more."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._n_taken >= self._n:
                    self._changed.wait(poll_s)
                    check()
            except BaseException:
                self._waiting.remove(ticket)
                self._changed.notify_all()
                raise
            self._waiting.popleft()
            self._n_taken += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._n_taken -= 1
                self._changed.notify_all()
