from __future__ import annotations

import pytest

from pyserve.web.connection.drain import Drain, begin_drain, end_drain

BEGIN = (0.0, begin_drain)


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ([True], [BEGIN, (22, end_drain)]),
        ([True, True], [BEGIN, (22, end_drain)]),
        ([False, False], [BEGIN, (597, end_drain)]),
        ([False, True, True], [BEGIN, (597, end_drain), (22, end_drain)]),
        ([True, False], [BEGIN, (22, end_drain)]),
    ],
    ids=["a stop", "twice", "a reload", "a stop after a reload", "a reload while it stops"],
)
def test_requests_have_the_time_of_what_ends_them(told, asked):
    calls = []
    drain = Drain(25, 600, lambda seconds, callback: calls.append((seconds, callback)))
    for is_stop in told:
        drain.tell(is_stop=is_stop)
    assert calls == asked


def test_a_reload_leaves_no_less_time_than_a_stop():
    assert Drain(25, 1).longest_s == 25
