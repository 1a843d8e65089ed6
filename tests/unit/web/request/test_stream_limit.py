from __future__ import annotations

import pytest

from pyserve.errors import QueueFullError
from pyserve.web.request.stream_limit import N_REMEMBERED, StreamLimit


def refusal_s(limit: StreamLimit) -> float:
    with pytest.raises(QueueFullError) as refused:
        limit.acquire()
    return refused.value.details["retry_after_s"]


def test_who_is_refused_learns_when_half_of_the_others_will_be_done():
    now = [0.0]
    limit = StreamLimit(10, lambda: now[0])
    held = [limit.acquire() for _ in range(10)]
    assert refusal_s(limit) == 0  # nothing is known yet
    for _ in range(N_REMEMBERED):
        now[0] += 2.0
        held.pop(0).release()
        held.append(limit.acquire())
    assert refusal_s(limit) == pytest.approx(10 * 2.0 / 2, rel=0.1)
    now[0] += 10_000.0
    assert refusal_s(limit) == 30.0


def test_a_permit_comes_back_once():
    limit = StreamLimit(1)
    ended = []
    permit = limit.acquire(lambda: ended.append(1))
    permit.release()
    permit.release()
    assert (limit.n_held, ended) == (0, [1])
