"""Callbacks that run shortly before `--graceful-timeout-s` ends a stopping front worker."""

from __future__ import annotations

from collections.abc import Callable

_callbacks: list[Callable[[], None]] = []


def on_drain_end(callback: Callable[[], None]) -> None:
    """Have `callback` called, in a thread of its own, shortly before the worker is killed."""
    _callbacks.append(callback)


def end_drain() -> None:
    """Call the registered callbacks."""
    for callback in _callbacks:
        callback()
