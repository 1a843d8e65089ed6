from __future__ import annotations

from pyserve.process.clock import MAX_GAP_S, OwnClock


def test_it_stands_still_while_the_process_is_stopped():
    now = 100.0
    clock = OwnClock(lambda: now)
    began = clock()
    now += MAX_GAP_S
    assert clock() == began + MAX_GAP_S
    now += 3600
    assert clock() == began + MAX_GAP_S
    now += 1
    assert clock() == began + MAX_GAP_S + 1
