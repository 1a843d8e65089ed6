"""To which replica a front sends what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.cluster.engine import ClusterEngine
from pyserve.engine.prefixes.keys import prefix_keys
from pyserve.engine.protocol import GenerateRequest
from tests.support.limits import SOON_S
from tests.support.replicas import Fleet
from tests.support.server import wait_until


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    fleet.list(*(fleet.add() for _ in range(3)))
    yield fleet
    fleet.close()


def turn(chat: int, n_turns: int) -> GenerateRequest:
    texts = [f"chat {chat}, turn {n}: " + "word " * 600 for n in range(n_turns)]
    return GenerateRequest(messages=[{"role": "user", "content": text} for text in texts])


def ask(engine: ClusterEngine, fleet: Fleet, request: GenerateRequest) -> str:
    """The replica that answered."""
    before = [len(replica.core.requests) for replica in fleet.replicas]
    for _ in engine.submit(request):
        pass
    (place,) = [
        replica.view.replica_id
        for n, replica in zip(before, fleet.replicas, strict=True)
        if len(replica.core.requests) > n
    ]
    return place


def test_each_chat_stays_where_it_began_whoever_asks(fleet: Fleet) -> None:
    homes = [ask(fleet.engine, fleet, turn(chat, 1)) for chat in range(9)]
    assert len(set(homes)) > 1
    assert [ask(fleet.engine, fleet, turn(chat, 2)) for chat in range(9)] == homes
    other = fleet.another_front()

    def n_known() -> int:
        chains = [prefix_keys(turn(chat, 2)).chain for chat in range(9)]
        held = {member.replica_id: member.news.held for member in other.members}
        return sum(held[home].n_held(chain) > 0 for home, chain in zip(homes, chains, strict=True))

    wait_until(lambda: n_known() == 9, SOON_S, "the other front was told")
    assert [ask(other, fleet, turn(chat, 3)) for chat in range(9)] == homes


def test_a_chat_whose_replica_ends_goes_on_elsewhere_and_stays_there(fleet: Fleet) -> None:
    home = ask(fleet.engine, fleet, turn(1, 1))
    left = [replica for replica in fleet.replicas if replica.view.replica_id != home]
    fleet.list(*left)
    second = ask(fleet.engine, fleet, turn(1, 2))
    assert second != home
    assert ask(fleet.engine, fleet, turn(1, 3)) == second


def test_requests_that_have_ended_count_no_more(fleet: Fleet) -> None:
    for chat in range(12):
        ask(fleet.engine, fleet, turn(chat % 3, 1))
    streams = [fleet.engine.submit(GenerateRequest(prompt="#hold=1 b")) for _ in range(3)]
    for stream in streams:
        stream.cancel()
    wait_until(lambda: all(stream.is_over for stream in streams), SOON_S, "they are over")
    fleet.engine.submit(turn(99, 1))
    router = fleet.engine._router
    assert len(router._open) == 1
    assert sum(seat.n_own for seat in router._fleet._seats.values()) == 1
