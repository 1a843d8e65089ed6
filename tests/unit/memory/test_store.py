"""The store of responses and conversations, on files."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyserve.memory.database import MAX_LOG_BYTES
from pyserve.memory.memory import Memory, MemoryLimits
from pyserve.memory.owner import Owner
from pyserve.memory.records import Events, Stored
from pyserve.memory.store import NAME, Store

MIB = 2**20
TTL_S = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    stores = []

    def make_store(max_bytes: int = MIB) -> Store:
        stores.append(Store(tmp_path, max_bytes, TTL_S, clock))
        return stores[-1]

    yield make_store
    for store in stores:
        store.close()


def response(name: str, tenant: str = "a", **fields: Any) -> Stored:
    body = fields.pop("body", msgspec.json.encode({"id": name, "status": "completed"}))
    return Stored(id=name, kind="response", tenant=tenant, created=1.0, body=body, **fields)


def item(name: str, text: str = "") -> dict[str, Any]:
    return {"id": name, "type": "message", "text": text}


def test_a_response_is_found_by_its_tenant_alone(make):
    store = make()
    store.add(response("r"), [item("i")])
    assert store.get("a", "response", "r") == response("r")
    assert store.items("a", "r") == [item("i")]
    assert store.item("a", "i") == item("i")
    for found in (store.get("b", "response", "r"), store.item("b", "i")):
        assert found is None
    assert store.get("a", "conversation", "r") is None
    assert store.items("b", "r") == []
    assert not store.delete("b", "response", "r")
    assert store.chain("b", "r", 9) is None


def test_what_is_deleted_leaves_nothing_behind(tmp_path, clock):
    store = Store(tmp_path, MIB, TTL_S, clock)
    store.add(response("r", status="queued", has_events=True), [item("i", "a secret text")])
    store.add_events("r", Events(0, 0, b"x\n\n"))
    assert store.delete("a", "response", "r")
    assert (store.items("a", "r"), store.events("r", -1)) == ([], [])
    assert not store.change("r", "completed", b"{}")
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"a secret text" not in kept


def test_another_process_sees_it_and_a_later_one(make):
    make().add(response("r"), [item("i")])
    assert make().get("a", "response", "r") is not None


def test_only_its_user_may_read_the_file(make, tmp_path):
    make()
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_chain_is_everything_that_a_response_continues(make, clock):
    store = make()
    store.add(response("r1"))
    store.add(response("r2", previous="r1"))
    clock.now += TTL_S - 1
    store.add(response("r3", previous="r2"))
    chain = store.chain("a", "r3", 9)
    assert chain is not None
    assert [stored.id for stored in chain] == ["r1", "r2", "r3"]
    clock.now += TTL_S - 1  # the first were used when they were continued
    assert store.chain("a", "r3", 9) is not None
    assert store.chain("a", "r3", 2) is None
    store.delete("a", "response", "r1")
    assert store.chain("a", "r3", 9) is None


def test_what_is_not_used_for_long_is_gone(make, clock):
    store = make()
    store.add(response("r"), [item("i")])
    clock.now += TTL_S
    assert store.get("a", "response", "r") is None
    assert store.item("a", "i") is None
    store.sweep()  # which comes by itself where nothing is added
    assert store.status("r") is None


def test_what_runs_is_there_however_long_and_its_time_begins_at_its_end(make, clock):
    store = make()
    store.add(response("r", status="in_progress"))
    clock.now += 2 * TTL_S
    store.sweep()
    assert store.get("a", "response", "r") is not None
    assert store.change("r", "completed", b"{}")
    clock.now += TTL_S - 1
    assert store.get("a", "response", "r") is not None
    clock.now += 1
    assert store.get("a", "response", "r") is None


def test_the_largest_tenant_loses_its_oldest_first(make, clock):
    store = make(20_000)
    for tenant, name in (("small", "s"), ("big", "b1"), ("big", "b2"), ("big", "b3")):
        clock.now += 1
        n_chars = 1000 if tenant == "small" else 6000
        store.add(response(name, tenant), [item("i", "x" * n_chars)])
    assert store.get("small", "response", "s") is not None
    assert store.get("big", "response", "b1") is None
    assert store.get("big", "response", "b3") is not None


def test_what_runs_is_not_deleted_for_room(make):
    store = make(1000)
    store.add(response("r", status="in_progress"), [item("i", "x" * 2000)])
    assert store.status("r") == "in_progress"


def test_the_end_of_a_turn_is_appended_to_its_conversation(make):
    store = make()
    store.add(Stored(id="c", kind="conversation", tenant="a", created=1.0, body=b"{}"))
    store.add(response("r", status="in_progress", conversation="c"), [item("in")])
    assert store.items("a", "c") == []
    assert store.change("r", "completed", b"{}", [item("out")])
    assert store.items("a", "c") == [item("in"), item("out")]
    assert not store.change("r", "failed", b"{}"), "it has ended already"
    store.add(response("f", status="in_progress", conversation="c"), [item("lost")])
    store.change("f", "failed", b"{}")
    assert len(store.items("a", "c")) == 2


def test_pages_follow_each_other_in_both_orders(make):
    store = make()
    store.add(response("r"), [item(f"i{n}") for n in range(5)])
    for is_ascending in (True, False):
        names: list[str] = []
        has_more = True
        while has_more:
            after = names[-1] if names else None
            page = store.page("a", "r", 2, is_ascending=is_ascending, after=after)
            names += [found["id"] for found in page.items]
            has_more = page.has_more
        expected = [f"i{n}" for n in range(5)]
        assert names == (expected if is_ascending else expected[::-1])


def test_items_of_a_conversation_come_and_go(make):
    store = make()
    store.add(Stored(id="c", kind="conversation", tenant="a", created=1.0, body=b"{}"))
    store.append("a", "c", [item("i1"), item("i2")])
    assert store.item("a", "i1", "c") == item("i1")
    assert store.delete_item("a", "c", "i1")
    assert not store.delete_item("a", "c", "i1")
    assert store.items("a", "c") == [item("i2")]
    store.replace_body("a", "c", b'{"x":"y"}')
    found = store.get("a", "conversation", "c")
    assert found is not None
    assert found.body == b'{"x":"y"}'


def test_a_response_whose_process_is_gone_has_failed(tmp_path, clock):
    first = Store(tmp_path, MIB, TTL_S, clock)
    body = msgspec.json.encode({"id": "r", "status": "in_progress"})
    first.add(response("r", status="in_progress", body=body))
    other = Store(tmp_path, MIB, TTL_S, clock)
    running = other.get("a", "response", "r")
    assert running is not None
    assert running.is_running
    first.close()  # as the system does when the process is killed
    found = other.get("a", "response", "r")
    other.close()
    assert found is not None
    assert found.status == "failed"
    shown = msgspec.json.decode(found.body)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "server_error")


def test_events_are_found_by_their_numbers(make):
    store = make()
    store.add(response("r", status="queued", has_events=True))
    store.add_events("r", Events(0, 1, b"a\n\nb\n\n"))
    store.change("r", "completed", b"{}", events=Events(2, 2, b"c\n\n"))
    assert [events.first for events in store.events("r", -1)] == [0, 2]
    assert [events.first for events in store.events("r", 0)] == [0, 2]
    assert [events.first for events in store.events("r", 1)] == [2]
    assert store.events("r", 2) == []


def test_many_threads_of_two_processes_lose_nothing(make):
    stores = [make(), make()]

    def add(n: int) -> None:
        store = stores[n % 2]
        for i in range(10):
            store.add(response(f"r{n}-{i}"), [item("i")])

    threads = [threading.Thread(target=add, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [f"r{n}-{i}" for n in range(6) for i in range(10)]
    assert all(stores[0].get("a", "response", name) is not None for name in names)


def test_a_directory_that_cannot_be_used_costs_the_memory_alone(tmp_path, caplog):
    file = tmp_path / "file"
    file.write_text("")
    memory = Memory(file / "below", MemoryLimits(MIB, TTL_S))
    assert memory.store is None
    assert memory.store is None
    assert len([record for record in caplog.records if "not stored" in record.message]) == 1


def test_a_file_of_another_version_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert Memory(Path(tmp_path), MemoryLimits(MIB, TTL_S)).store is None


def test_nothing_is_stored_without_room(tmp_path):
    assert Memory(tmp_path / "none", MemoryLimits(0, TTL_S)).store is None
    assert not (tmp_path / "none").exists()


def test_what_has_expired_is_swept_out_though_nobody_stores_anything(tmp_path):
    memory = Memory(tmp_path, MemoryLimits(MIB, 0.0, MIB, 0.0))
    memory.sweep()
    assert list(tmp_path.iterdir()) == []  # what was never used is not made
    assert memory.store is not None
    memory.store.add(response("r", status="in_progress"), [item("i")])
    memory.store.change("r", "completed", b"{}")
    assert memory.archive is not None
    memory.close()
    later = Memory(tmp_path, MemoryLimits(MIB, 0.0, MIB, 0.0))
    later.sweep()
    assert later.store is not None
    assert later.store.status("r") is None
    later.close()


def test_files_of_dead_processes_are_removed_by_the_next(tmp_path):
    dead = tmp_path / "0123456789abcdef.owner"
    dead.write_bytes(b"")
    first, second = Owner(tmp_path), Owner(tmp_path)
    assert not dead.exists()
    assert first.is_alive(second.name)
    assert second.is_alive(first.name)
    first.close()
    assert not second.is_alive(first.name)
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_large_write_leaves_no_large_log(make, tmp_path):
    store = make(100 * MIB)
    store.add(response("large"), [item("i", "x" * (8 * MIB))])
    for i in range(3):
        store.add(response(f"small{i}"))
    assert (tmp_path / f"{NAME}-wal").stat().st_size <= MAX_LOG_BYTES
