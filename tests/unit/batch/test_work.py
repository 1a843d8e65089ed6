"""Lines in several threads, and refusals that are asked again."""

from __future__ import annotations

import threading

import msgspec
import pytest

from pyserve.batch.journal import Answer
from pyserve.batch.work import MAX_PAUSE_S, MAX_TRIES, Reply, Stopped, answered, each_of, seconds_of


def test_every_item_is_worked_on_once_by_so_many_threads():
    seen, lock, meeting = [], threading.Lock(), threading.Barrier(4)

    def work(item: int) -> None:
        if item < 4:
            meeting.wait(10)
        with lock:
            seen.append(item)

    each_of(range(100), work, 4)
    assert sorted(seen) == list(range(100))


def test_the_first_failure_ends_it():
    seen = []

    def work(item: int) -> None:
        seen.append(item)
        if item == 3:
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        each_of(range(1000), work, 1)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 1), ("7", 7), ("0.5", 0.5), ("-1", 0), ("Mon, 30 Nov", 1)]
)
def test_what_a_server_says_when_to_come_again(text, seconds):
    assert seconds_of(text) == seconds


def replies(*statuses: int):
    left = list(statuses)

    def ask() -> Reply:
        status = left.pop(0) if len(left) > 1 else left[0]
        return Reply(Answer(status, "r", msgspec.Raw(b"{}")), retry_after_s=3)

    return ask


def test_refusals_for_now_are_asked_again_after_their_time():
    pauses: list[float] = []
    assert answered(replies(503, 429, 529, 200), pauses.append).status_code == 200
    assert pauses == [3, 3, 3]
    assert answered(replies(400), pauses.append).status_code == 400


def test_what_stays_unavailable_is_an_answer_at_last_and_a_limit_never():
    pauses: list[float] = []
    assert answered(replies(503), pauses.append).status_code == 503
    assert len(pauses) == MAX_TRIES - 1
    assert max(pauses) == MAX_PAUSE_S

    def pause(_seconds: float) -> None:
        pauses.append(0)
        if len(pauses) > 100:
            raise Stopped

    with pytest.raises(Stopped):
        answered(replies(429), pause)
