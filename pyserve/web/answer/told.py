"""Work in a thread of its own, whose client is told how far it is, and whose end ends it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from pyserve.errors import CancelledError
from pyserve.web.request.disconnect import ClientWatch

WATCH_S = 0.25
END = object()

Tell = Callable[[Any], None]


def told(work: Callable[[Tell], None], watch: ClientWatch, repeat_s: float) -> Iterator[Any]:
    """What `work` tells, as it comes; then its error is raised, if it has one.

    repeat_s: a time of silence after which the last thing is told again. When the client has gone,
    or nobody goes on reading here, the next `Tell` raises CancelledError in the work.
    """
    said: queue.SimpleQueue[Any] = queue.SimpleQueue()
    gone = threading.Event()

    def tell(thing: Any) -> None:
        if gone.is_set():
            raise CancelledError("nobody waits for it any more")
        said.put(thing)

    ended = _started(lambda: work(tell), on_end=lambda: said.put(END))
    try:
        yield from _until_end(said, watch, repeat_s)
    finally:
        gone.set()
    ended.result()


def _started(work: Callable[[], None], on_end: Callable[[], None]) -> Future[None]:
    """The end of `work`, which begins now."""
    ended: Future[None] = Future()

    def run() -> None:
        try:
            work()
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)
        on_end()

    threading.Thread(target=run, name="told", daemon=True).start()
    return ended


def _until_end(said: queue.SimpleQueue[Any], watch: ClientWatch, repeat_s: float) -> Iterator[Any]:
    last, told_at = None, time.monotonic()
    while True:
        try:
            thing = said.get(timeout=WATCH_S)
        except queue.Empty:
            watch.check()
            if last is None or time.monotonic() - told_at < repeat_s:
                continue
            thing = last
        if thing is END:
            return
        last, told_at = thing, time.monotonic()
        yield thing
