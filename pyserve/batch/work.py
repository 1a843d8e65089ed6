"""Runs the lines of a batch: several at a time, in their order, each until it has an answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from pyserve.batch.journal import Answer

T = TypeVar("T")

TOO_MANY = 429
UNAVAILABLE = (503, 529)  # 529 is 503 in Anthropic's API
MAX_TRIES = 12
MAX_PAUSE_S = 60.0


class Stopped(Exception):  # it is no error
    """No more lines are to be worked on."""


class Reply(msgspec.Struct, frozen=True):
    """An answer, and how long to wait before it is asked again if it was a refusal."""

    answer: Answer
    retry_after_s: float = 1.0


def seconds_of(retry_after: str | None) -> float:
    """What a `Retry-After` says; a second if that is no number."""
    try:
        return max(float(retry_after or 1), 0.0)
    except ValueError:
        return 1.0


def each_of(items: Iterable[T], work: Callable[[T], None], n_threads: int) -> None:
    """Call `work` with each item in turn, in so many threads; returns when all are done.

    The first exception, of `items` or of `work`, ends it, and is raised.
    """
    source = iter(items)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not failures:
                with lock:
                    item = next(source)
                work(item)
        except StopIteration:
            return
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, name="batch", daemon=True) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def answered(ask: Callable[[], Reply], pause: Callable[[float], None]) -> Answer:
    """What is said at last: refusals for now are asked again, those of limits without end.

    pause: waits so many seconds; raises Stopped when nobody wants the answer any more.
    """
    for n in itertools.count(1):
        reply = ask()
        status = reply.answer.status_code
        if status != TOO_MANY and (status not in UNAVAILABLE or n >= MAX_TRIES):
            return reply.answer
        pause(min(max(reply.retry_after_s, 2.0 ** (n - 2)), MAX_PAUSE_S))
    raise AssertionError
