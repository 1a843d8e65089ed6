from __future__ import annotations

import pytest

from pyserve.engine.events import Delta, Finish, Timings, Usage
from pyserve.errors import QueueFullError
from pyserve.web.request.work import Part, Tally
from tests.support.clocks import Clock

DONE = Part(True, 0, 0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(clock):
    return Tally(clock)


def finish(n_prompt=10, n_completion=5, n_cached=0, reason="stop", queue_ms=0.0) -> Delta:
    usage = Usage(
        n_prompt_tokens=n_prompt, n_completion_tokens=n_completion, n_cached_tokens=n_cached
    )
    return Delta(
        text="x", finish=Finish(reason=reason, usage=usage, timings=Timings(queue_ms=queue_ms))
    )


def work_of(tally, parts):
    return tally.work(parts, tenant="t", priority=3)


def test_times_are_of_the_first_and_the_last_token(tally, clock):
    clock.now_s = 0.5
    tally.see(0, Delta(text="a", n_tokens=1))
    clock.now_s = 2.5
    tally.see(0, finish(n_cached=4, queue_ms=7.0))
    work = work_of(tally, [DONE])
    assert (work.first_token_ms, work.tokens_per_s, work.queue_ms) == (500.0, 2.0, 7.0)
    assert (work.n_prompt_tokens, work.n_cached_tokens, work.n_completion_tokens) == (10, 4, 5)
    assert (work.n_tokens, work.finish, work.tenant, work.priority) == (15, "stop", "t", 3)


def test_choices_of_one_prompt_count_it_once(tally):
    for index, reason in enumerate(("stop", "length", "stop")):
        tally.see(index, finish(reason=reason))
    work = work_of(tally, [DONE, Part(False, 0, 0), DONE])
    assert (work.n_prompt_tokens, work.n_completion_tokens) == (20, 15)
    assert work.finish == "length,stop"


def test_what_a_cancelled_request_had_counts(tally):
    tally.see(0, finish())
    work = work_of(tally, [Part(True, 99, 99), Part(True, 20, 3)])
    assert (work.n_prompt_tokens, work.n_completion_tokens, work.finish) == (30, 8, "cancelled")


@pytest.mark.parametrize(
    ("error", "code"),
    [(QueueFullError("full"), "queue_full"), (ValueError(), "internal_error")],
)
def test_an_error_is_how_it_ends(tally, error, code):
    tally.fail(error)
    work = work_of(tally, [])
    assert (work.finish, work.n_tokens, work.first_token_ms) == (code, 0, None)


def test_a_client_that_goes_is_no_error(tally):
    tally.fail(GeneratorExit())
    assert work_of(tally, [Part(True, 1, 0)]).finish == "cancelled"
