"""What goes on when its request has been answered; a worker that stops waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

THREAD_NAME = "background-response"


class BackgroundWork:
    """Threads beside those of requests. Any thread may call any method."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_running = 0

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""
        with self._changed:
            self._n_running += 1
        threading.Thread(target=self._run, args=(work,), name=THREAD_NAME, daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing runs any more, now or within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_running == 0, timeout_s)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._n_running -= 1
                self._changed.notify_all()
