from __future__ import annotations

import pytest

from pyserve.supervisor.memory import Usage, free_bytes, held_bytes
from pyserve.supervisor.placement import Move, Resident, Room, Verdict, make_room

START, WAIT, REFUSE = Verdict.START, Verdict.WAIT, Verdict.REFUSE


def resident(key: str, n_bytes: int = 10, **facts: object) -> Resident:
    return Resident(key, n_bytes, **facts)


def test_what_fits_is_started():
    assert make_room(10, [resident("a")], Room(10)) == Move(START)
    assert make_room(10, [], Room(None)) == Move(START)
    assert make_room(10, [resident("a")], Room(None, n_models_max=2)) == Move(START)


def test_the_idle_model_used_least_recently_leaves():
    residents = [resident("a", used_at=3), resident("b", used_at=1), resident("c", used_at=2)]
    assert make_room(10, residents, Room(0)) == Move(WAIT, unload=("b",))
    assert make_room(20, residents, Room(0)) == Move(WAIT, unload=("b", "c"))
    assert make_room(1, residents, Room(None, n_models_max=3)) == Move(WAIT, unload=("b",))


def test_no_more_leave_than_are_needed():
    residents = [resident("small", 1, used_at=1), resident("large", 50, used_at=2)]
    assert make_room(30, residents, Room(0)) == Move(WAIT, unload=("large",))


def test_pinned_and_busy_models_stay():
    residents = [
        resident("pinned", used_at=1, is_pinned=True),
        resident("busy", used_at=2, is_busy=True),
        resident("idle", used_at=3),
    ]
    assert make_room(10, residents, Room(0)) == Move(WAIT, unload=("idle",))
    assert make_room(15, residents, Room(0)) == Move(WAIT)


def test_what_is_leaving_already_is_counted_on():
    residents = [resident("a", is_leaving=True), resident("b")]
    assert make_room(10, residents, Room(0)) == Move(WAIT)
    assert make_room(20, residents, Room(0)) == Move(WAIT, unload=("b",))


def test_a_busy_model_is_drained_only_when_it_may_be_and_is_settled():
    new = resident("new", ready_at=9, is_busy=True)
    old = resident("old", ready_at=1, is_busy=True, is_settled=True)
    assert make_room(10, [new, old], Room(0)) == Move(WAIT)
    assert make_room(10, [new, old], Room(0), may_drain=True) == Move(WAIT, drain=("old",))
    assert make_room(20, [new, old], Room(0), may_drain=True) == Move(WAIT)


def test_idle_models_leave_before_busy_ones_are_drained():
    residents = [resident("idle"), resident("busy", is_busy=True, is_settled=True)]
    move = make_room(20, residents, Room(0), may_drain=True)
    assert move == Move(WAIT, unload=("idle",), drain=("busy",))


@pytest.mark.parametrize("room", [Room(0), Room(None, n_models_max=1)])
def test_what_pinned_models_leave_no_room_for_is_refused(room):
    residents = [resident("pinned", is_pinned=True)]
    assert make_room(10, residents, room) == Move(REFUSE)


def test_what_is_larger_than_everything_is_refused_and_nobody_leaves():
    assert make_room(100, [resident("a"), resident("b")], Room(5)) == Move(REFUSE)


def test_rivals_leave_although_there_is_room():
    rival = resident("rival", is_rival=True)
    assert make_room(10, [rival, resident("other")], Room(99)) == Move(WAIT, unload=("rival",))
    assert make_room(10, [resident("gone", is_rival=True, is_leaving=True)], Room(99)) == Move(WAIT)


def test_the_place_of_a_rival_is_counted_on():
    residents = [resident("old", used_at=1), resident("rival", used_at=2, is_rival=True)]
    assert make_room(10, residents, Room(0)) == Move(WAIT, unload=("rival",))
    assert make_room(20, residents, Room(0)) == Move(WAIT, unload=("rival", "old"))


def test_busy_rivals_are_drained_like_others():
    rival = resident("rival", is_rival=True, is_busy=True, is_settled=True)
    assert make_room(10, [rival], Room(None)) == Move(WAIT)
    assert make_room(10, [rival], Room(None), may_drain=True) == Move(WAIT, drain=("rival",))


def test_a_pinned_rival_is_in_the_way_and_nobody_leaves():
    residents = [resident("pinned", is_rival=True, is_pinned=True), resident("r", is_rival=True)]
    assert make_room(10, residents, Room(99)) == Move(REFUSE, in_the_way=("pinned",))


def test_a_model_is_entitled_to_what_it_has_not_taken_yet():
    loading, loaded = Usage(n_entitled=30, n_held=10), Usage(n_entitled=20, n_held=25)
    assert free_bytes(100, 0, [loading, loaded]) == 80
    assert free_bytes(100, 60, [loading, loaded]) == 5
    assert free_bytes(0, 60, []) == 60
    assert free_bytes(0, 0, [loading]) is None
    assert loaded.n_freed == 25


def test_memory_held_is_that_of_no_file(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("VmRSS:\t 300 kB\nRssAnon:\t 200 kB\n")
    assert held_bytes(7, tmp_path) == 200 * 1024
    assert held_bytes(8, tmp_path) == 0
    assert held_bytes(None, tmp_path) == 0
