"""Requests that are given up at any time leave nothing behind, in no replica."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import CancelledError, QueueFullError
from tests.support.limits import SOON_S
from tests.support.replicas import Fleet
from tests.support.server import wait_until

N_THREADS = 4
N_EACH = 250
ENDLESS = GenerateRequest(prompt="#hold=2 " + "b " * 2000)


def give_up(fleet: Fleet, seed: int, failures: list[str]) -> None:
    """Cancel requests before they are sent, accepted, or answered, or in between."""
    chance = random.Random(seed)
    for _ in range(N_EACH):
        try:
            stream = fleet.engine.submit(ENDLESS)
        except QueueFullError:
            continue  # others are being cancelled
        for _ in range(chance.randrange(3)):
            if chance.random() < 0.5:
                stream.wait_accepted(SOON_S)
            else:
                stream.get(chance.random() / 500)
        stream.cancel()
        if chance.random() < 0.2:
            continue  # nobody looks at it again
        try:
            while stream.get(SOON_S) is not None:
                pass
            failures.append("it did not end")
        except CancelledError:
            pass


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    fleet.list(*(fleet.add(n_seq_max=2, n_queue_max=8) for _ in range(3)))
    yield fleet
    fleet.close()


def test_a_thousand_requests_that_are_given_up_leave_nothing(fleet: Fleet) -> None:
    failures: list[str] = []
    threads = [
        threading.Thread(target=give_up, args=(fleet, seed, failures)) for seed in range(N_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * SOON_S)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []

    def n_left() -> int:
        stats = [replica.core.stats() for replica in fleet.replicas]
        in_work = sum(each.n_running + each.n_waiting for each in stats)
        return in_work + sum(member.engine.n_open for member in fleet.engine.members)

    wait_until(lambda: n_left() == 0, SOON_S, "nothing is left")
    ended = [replica.core.stats() for replica in fleet.replicas]
    assert sum(each.n_cancelled for each in ended) > N_THREADS * N_EACH / 2
    assert sum(each.n_failed + each.n_finished for each in ended) == 0
    router = fleet.engine._router
    router._look({}, 0.0)
    assert not router._open
    assert not router._fleet._sent
