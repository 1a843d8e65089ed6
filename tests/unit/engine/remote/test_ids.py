from __future__ import annotations

import pytest

from pyserve.engine.remote.ids import RouteTable
from pyserve.errors import CancelledError, InvalidRequestError
from tests.support.scripted_core import accepted, failed, finished, step


@pytest.fixture
def routes() -> RouteTable[str]:
    routes: RouteTable[str] = RouteTable()
    routes.add_front("a")
    routes.add_front("b")
    return routes


def test_two_fronts_may_use_the_same_id(routes):
    one, two = routes.open("a", 1), routes.open("b", 1)
    assert one != two
    events = routes.split([step(two, "for b"), step(one, "for a")])
    assert events == {"b": [step(1, "for b")], "a": [step(1, "for a")]}


def test_an_id_in_use_is_refused_and_free_again_after_the_end(routes):
    core_id = routes.open("a", 1)
    with pytest.raises(InvalidRequestError):
        routes.open("a", 1)
    routes.split([accepted(core_id), finished(core_id)])
    assert routes.find("a", 1) is None
    assert routes.open("a", 1) != core_id


def test_failed_is_a_last_event_too(routes):
    core_id = routes.open("a", 1)
    routes.split([failed(core_id, CancelledError("")), step(core_id, "late")])
    assert routes.split([step(core_id, "later")]) == {}


def test_a_dropped_front_gives_back_its_unfinished_requests_and_gets_no_events(routes):
    done, running = routes.open("a", 1), routes.open("a", 2)
    routes.split([finished(done)])
    assert routes.drop_front("a") == [running]
    assert routes.split([step(running, "x")]) == {}
    assert routes.drop_front("a") == []


def test_unknown_ids_are_ignored(routes):
    routes.close(99)
    assert routes.find("a", 99) is None
    assert routes.split([step(99, "x")]) == {}
