from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import Adapter
from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import (
    EngineRestartedError,
    InvalidRequestError,
    ModelLoadingError,
    PoisonRequestError,
    QueueFullError,
    UnavailableError,
)
from tests.support.limits import SOON_S
from tests.support.replicas import Fleet, Replica
from tests.support.server import wait_until

HELD = GenerateRequest(prompt="#hold=2 b c d")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


def text(stream) -> str:
    return "".join(delta.text for delta in stream)


def read(stream, n: int) -> str:
    return "".join(stream.get(SOON_S).text for _ in range(n))


def holder(fleet: Fleet) -> Replica:
    """The replica that has got a request."""
    (found,) = [replica for replica in fleet.replicas if replica.core.requests]
    return found


def other(fleet: Fleet) -> Replica:
    return next(each for each in fleet.replicas if each is not holder(fleet))


def test_requests_are_spread_over_the_replicas(fleet):
    fleet.list(fleet.add(), fleet.add(), fleet.add())
    streams = [fleet.engine.submit(HELD) for _ in range(6)]
    assert [len(replica.core.requests) for replica in fleet.replicas] == [2, 2, 2]
    for replica in fleet.replicas:
        replica.core.release()
    assert [text(stream) for stream in streams] == ["#hold=2 b c d"] * 6


def test_a_full_replica_passes_requests_on_and_full_ones_refuse(fleet):
    fleet.list(fleet.add(n_seq_max=1, n_queue_max=0), fleet.add(n_seq_max=1, n_queue_max=0))
    with pytest.raises(InvalidRequestError):
        fleet.engine.submit(GenerateRequest(prompt="a", adapters={"unknown": 1.0}))
    for _ in range(2):
        fleet.engine.submit(HELD)
    with pytest.raises(QueueFullError):
        fleet.engine.submit(HELD)


def test_an_answer_goes_on_in_another_replica_when_its_engine_dies(fleet):
    fleet.list(fleet.add(), fleet.add())
    streams = [fleet.engine.submit(HELD) for _ in range(2)]
    begun = [read(stream, 2) for stream in streams]
    dead, alive = fleet.replicas
    dead.crash()
    assert alive.core.wait_submitted(2, SOON_S)
    assert len(alive.core.requests[1].said) == 2
    alive.core.release()
    assert [first + text(s) for first, s in zip(begun, streams, strict=True)] == [
        "#hold=2 b c d"
    ] * 2
    wait_until(lambda: fleet.engine.n_revived == 1, SOON_S, "it is counted")


def test_a_request_that_engines_die_of_does_not_take_all_of_them(fleet):
    fleet.list(fleet.add(), fleet.add(), fleet.add())
    stream = fleet.engine.submit(HELD)
    read(stream, 2)
    first = holder(fleet)
    first.crash()
    wait_until(
        lambda: sum(len(r.core.requests) for r in fleet.replicas) == 2, SOON_S, "it is revived"
    )
    read_before = [r for r in fleet.replicas if r is not first and r.core.requests]
    read_before[0].crash()
    with pytest.raises((PoisonRequestError, EngineRestartedError)):
        text(stream)
    assert sum(not replica.core.requests for replica in fleet.replicas) == 1


def test_a_replica_that_is_to_end_gets_nothing_new_and_its_answers_move(fleet):
    fleet.list(fleet.add(), fleet.add())
    stream = fleet.engine.submit(HELD)
    begun = read(stream, 2)
    ending, staying = holder(fleet), other(fleet)
    fleet.list(staying)
    fleet.engine.submit(HELD)
    assert len(ending.core.requests) == 1
    assert len(staying.core.requests) == 1
    fleet.engine.drain_s = 0.0
    fleet.list(staying)
    assert staying.core.wait_submitted(2, SOON_S)
    staying.core.release()
    assert begun + text(stream) == "#hold=2 b c d"
    wait_until(lambda: ending.gate.n_fronts == 0, SOON_S, "the front has left")
    assert [member.replica_id for member in fleet.engine.members] == [staying.view.replica_id]


def test_the_last_replica_that_is_to_end_ends_what_it_has_begun(fleet):
    fleet.engine.drain_s = 0.0
    only = fleet.add()
    fleet.list(only)
    stream = fleet.engine.submit(HELD)
    read(stream, 2)
    fleet.list()
    assert fleet.engine.is_ready
    only.core.release()
    assert text(stream) == " c d"
    wait_until(lambda: stream.is_over, SOON_S, "it is over")
    fleet.list()
    wait_until(lambda: only.gate.n_fronts == 0, SOON_S, "the front has left")
    with pytest.raises(ModelLoadingError):
        fleet.engine.submit(HELD)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_deterministic_answer_goes_on_only_where_the_same_bits_are_computed(fleet, goes_on):
    fleet.engine.same_bits_s = 0.0
    first = fleet.add(fingerprint="a")
    fleet.list(first)
    stream = fleet.engine.submit(GenerateRequest(prompt="#hold=2 b c d", deterministic=True))
    read(stream, 2)
    second = fleet.add(fingerprint="a" if goes_on else "b")
    second.core.release()
    fleet.list(first, second)
    first.crash()
    if goes_on:
        assert text(stream) == " c d"
        return
    with pytest.raises(EngineRestartedError, match="deterministic"):
        text(stream)


def test_calls_are_answered_by_whoever_can_and_scales_are_everybodys(fleet):
    adapters = [Adapter("pirate", "p.gguf", 1.0)]
    one, two = fleet.add(adapters=adapters), fleet.add(adapters=adapters)
    fleet.list(one, two)
    tokens = fleet.engine.tokenize("a b", add_special=False, parse_special=False)
    assert len(tokens) == 2
    assert fleet.engine.adapter_scales({"pirate": 0.5}) == {"pirate": 0.5}
    assert [r.core.adapter_scales({}) for r in (one, two)] == [{"pirate": 0.5}] * 2
    late = fleet.add(adapters=adapters)
    fleet.list(one, two, late)
    assert late.core.adapter_scales({}) == {"pirate": 0.5}
    fleet.engine.clear_prefixes()
    assert [r.core.n_cleared for r in (one, two, late)] == [1, 1, 1]
    one.crash()
    two.crash()
    assert fleet.engine.info().adapters == ("pirate",)
    assert fleet.engine.detokenize([1]) != ""


def test_a_call_that_engines_die_of_is_refused_after_the_second_one(fleet):
    fleet.list(*(fleet.add() for _ in range(4)))
    with pytest.raises(PoisonRequestError, match="crashed twice"):
        fleet.engine.tokenize("a #crash b", add_special=False, parse_special=False)

    def n_crashed() -> int:
        return sum(replica.has_crashed for replica in fleet.replicas)

    wait_until(lambda: n_crashed() == 2, SOON_S, "two have ended")
    assert len(fleet.engine.tokenize("a b", add_special=False, parse_special=False)) == 2
    assert n_crashed() == 2


def test_a_call_may_find_any_number_of_replicas_that_had_ended_before(fleet):
    replicas = [fleet.add() for _ in range(4)]
    fleet.list(*replicas)
    for replica in replicas[:3]:
        replica.crash()
    wait_until(
        lambda: sum(member.is_ready for member in fleet.engine.members) == 1, SOON_S, "it is seen"
    )
    assert len(fleet.engine.tokenize("a b", add_special=False, parse_special=False)) == 2
    with pytest.raises(EngineRestartedError):
        fleet.engine.tokenize("a #crash b", add_special=False, parse_special=False)


def test_the_end_of_the_front_is_told_to_all_requests(fleet):
    fleet.list(fleet.add())
    stream = fleet.engine.submit(HELD)
    read(stream, 2)
    fleet.engine.abort(UnavailableError("the server is shutting down"))
    with pytest.raises(UnavailableError, match="shutting down"):
        text(stream)
    with pytest.raises(UnavailableError):
        fleet.engine.submit(HELD)
    assert fleet.replicas[0].core.wait_cancelled(1, SOON_S)
