"""`once(f)`: a callable that runs `f` on the first call only."""

from __future__ import annotations

import threading
from collections.abc import Callable


def once(call: Callable[[], None]) -> Callable[[], None]:
    """A function that runs `call` when it is first called, and then nothing. Any thread."""
    is_called = threading.Lock()

    def call_once() -> None:
        if is_called.acquire(blocking=False):  # and never released
            call()

    return call_once
