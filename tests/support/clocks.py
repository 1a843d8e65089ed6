"""Clocks that tests move on."""

from __future__ import annotations

import time


class Clock:
    """Stands still until `now_s` is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class RunningClock:
    """The monotonic clock, and `ahead_s` more: for what works with real processes."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s
