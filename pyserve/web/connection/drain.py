"""What is to happen when a stopping worker has waited long enough for its requests to finish."""

from __future__ import annotations

from collections.abc import Callable

_callbacks: list[Callable[[], None]] = []


def on_drain_end(callback: Callable[[], None]) -> None:
    """Have `callback` called, in a thread of its own, before the worker is killed."""
    _callbacks.append(callback)


def end_drain() -> None:
    """Call what was registered."""
    for callback in _callbacks:
        callback()
