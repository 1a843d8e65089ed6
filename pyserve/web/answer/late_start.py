"""Streams that open before their model is loaded: they say so while it loads, then the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from pyserve.web.answer.sse import DataFrames, failure_of

T = TypeVar("T")


def begin(start: Callable[[], T]) -> Future[T]:
    """Run `start` in a thread of its own."""
    started: Future[T] = Future()

    def run() -> None:
        try:
            started.set_result(start())
        except BaseException as error:
            started.set_exception(error)

    threading.Thread(target=run, name="late-start", daemon=True).start()
    return started


def late_frames(
    started: Future[T],
    frames: Callable[[T], Iterator[bytes]],
    written: type[DataFrames],
    request_id: str,
    keep_alive_s: float,
) -> Iterator[bytes]:
    """Silence until the answer has started, then its frames or the error. No Flask context.

    written: how that silence and the error are.
    """
    yield written.silence()
    while True:
        try:
            result = started.result(keep_alive_s)
            break
        except FutureTimeoutError:
            yield written.silence()
        except Exception as error:
            yield written.refusal(failure_of(error, request_id))
            return
    yield from frames(result)


def when_started(started: Future[T], close: Callable[[T], None]) -> None:
    """Have `close` called with the result, now or when it is there; not after a failure."""

    def on_done(done: Future[T]) -> None:
        if done.exception() is None:
            close(done.result())

    started.add_done_callback(on_done)
