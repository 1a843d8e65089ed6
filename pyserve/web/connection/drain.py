"""Callbacks of a front worker that stops: at once, and shortly before it is killed."""

from __future__ import annotations

from collections.abc import Callable

_first_callbacks: list[Callable[[], None]] = []
_callbacks: list[Callable[[], None]] = []


def on_drain_begin(callback: Callable[[], None]) -> None:
    """Have `callback` called, in a thread of its own, when the worker begins to stop."""
    _first_callbacks.append(callback)


def on_drain_end(callback: Callable[[], None]) -> None:
    """The same shortly before `--graceful-timeout-s` ends it."""
    _callbacks.append(callback)


def begin_drain() -> None:
    """Call those of the begin."""
    for callback in _first_callbacks:
        callback()


def end_drain() -> None:
    """Call those of the end."""
    for callback in _callbacks:
        callback()
