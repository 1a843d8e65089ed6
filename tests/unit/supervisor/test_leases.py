from __future__ import annotations

from pyserve.backend.messages import Reply
from pyserve.errors import ModelLoadError
from pyserve.supervisor.leases import Lease, LeaseTable

ERROR = ModelLoadError("no").to_info()


class Front:
    """Notes what it is told."""

    def __init__(self, table: LeaseTable) -> None:
        self.table = table
        self.told: list[Reply] = []

    def ask(self, lease_id: int, model: str, asked_at: float = 0.0) -> None:
        self.table.add(self, Lease(lease_id, model, asked_at, self.told.append))


def test_all_who_wait_are_granted_at_once_and_told():
    front = Front(table := LeaseTable())
    for lease_id, model in [(1, "a"), (2, "b"), (3, "a")]:
        front.ask(lease_id, model)
    table.grant("a", "/a.sock")
    assert front.told == [Reply(call_id=i, socket_path="/a.sock") for i in (1, 3)]
    assert (table.n_granted("a"), table.n_granted("b")) == (2, 0)
    assert (table.is_waited_for("a"), table.is_waited_for("b")) == (False, True)


def test_who_is_denied_has_no_lease():
    front = Front(table := LeaseTable())
    front.ask(1, "a")
    table.deny("a", ERROR)
    assert front.told == [Reply(call_id=1, error=ERROR)]
    assert table.remove(front, 1) is None


def test_the_model_asked_for_first_comes_first():
    front = Front(table := LeaseTable())
    for lease_id, model, asked_at in [(1, "b", 1), (2, "a", 2), (3, "b", 3)]:
        front.ask(lease_id, model, asked_at)
    assert table.waiting() == [(1, "b"), (2, "a")]
    table.remove(front, 1)
    assert table.waiting() == [(2, "a"), (3, "b")]


def test_fronts_number_their_leases_as_they_like_and_go_alone():
    table = LeaseTable()
    one, other = Front(table), Front(table)
    one.ask(1, "a")
    other.ask(1, "a")
    one.ask(2, "b")
    table.grant("a", "/a.sock")
    assert {lease.lease_id for lease in table.remove_front(one)} == {1, 2}
    assert table.n_granted("a") == 1
    assert not table.is_waited_for("b")
    assert table.remove(one, 1) is None


def test_waiting_leases_can_be_sent_elsewhere():
    front = Front(table := LeaseTable())
    front.ask(1, "a")
    table.grant("a", "/a.sock")
    front.ask(2, "a")
    table.redirect("a", "b")
    table.redirect("nobody waits for this", "c")
    table.grant("b", "/b.sock")
    assert (table.n_granted("a"), table.n_granted("b")) == (1, 1)
    table.remove(front, 2)
    assert table.n_granted("b") == 0
