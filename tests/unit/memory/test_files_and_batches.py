"""Files and batches of several processes: bounds, ages, who works on what, and one end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyserve.memory.batches import Archive, BatchState, result_id
from pyserve.memory.files import FileRecord, StorageFullError

MIB = 2**20
TTL_S = 1000.0


class Clock:
    now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Any]:
    """Opens the archive as one process does."""
    archives: list[Archive] = []

    def open_archive() -> Archive:
        archives.append(Archive(tmp_path, MIB, TTL_S, clock))
        return archives[-1]

    yield open_archive
    for archive in archives:
        archive.close()


def add(archive: Archive, name: str, content: bytes = b"x", ttl_s: float = TTL_S) -> None:
    now = archive.clock()
    with archive.files.incoming("t") as incoming:
        incoming.write(content)
        record = FileRecord(
            id=name, tenant="t", created=now, expires=now + ttl_s, purpose="batch",
            filename="f", n_bytes=incoming.n_bytes,
        )  # fmt: skip
        archive.files.add(record, incoming)


def batch(archive: Archive, name: str, file: str = "f") -> BatchState:
    now = archive.clock()
    state = BatchState(
        id=name, tenant="t", key="", created=now, endpoint="/v1/completions", input_file_id=file,
        completion_window="24h", expires=now + 86400, output_ttl_s=TTL_S,
    )  # fmt: skip
    archive.batches.add(state, archive.files.path(file))
    return state


def names(archive: Archive) -> set[str]:
    return {path.name for path in archive.files.path("").iterdir()}


def test_a_file_that_does_not_arrive_leaves_nothing(opened):
    archive = opened()
    with archive.files.incoming("t") as incoming:
        incoming.write(b"x")
        assert len(names(archive)) == 1
    assert names(archive) == set()


def test_all_files_together_are_bounded(opened):
    archive = opened()
    add(archive, "a", b"x" * 600_000)
    with pytest.raises(StorageFullError):
        add(archive, "b", b"x" * 600_000)
    assert names(archive) == {"a"}
    archive.files.delete("t", "a")
    add(archive, "b", b"x" * 600_000)


def test_files_expire_each_at_its_time(opened, clock):
    archive = opened()
    add(archive, "short", ttl_s=10)
    add(archive, "long", ttl_s=100)
    clock.now += 50
    assert archive.files.get("t", "short") is None
    assert [each.id for each in archive.files.page("t", 10)[0]] == ["long"]
    archive.files.sweep()
    assert names(archive) == {"long"}


def test_what_killed_processes_have_left_is_swept(opened, clock):
    first, second = opened(), opened()
    living = second.files.path(f"x.{second._owner.name}.part")
    for path in (
        living,
        first.files.path("y.0123456789abcdef.part"),
        first.files.path("file-lost"),
    ):
        path.write_bytes(b"x")
    clock.now = first.files.path("file-lost").stat().st_mtime + 10
    first.files.sweep()
    assert names(first) == {"file-lost", living.name}
    clock.now += 4000
    first.files.sweep()
    assert names(first) == {living.name}


def test_a_batch_is_claimed_by_its_process_and_then_by_one_other(opened, tmp_path, clock):
    first = Archive(tmp_path, MIB, TTL_S, clock)
    second, third = opened(), opened()
    add(first, "f")
    batch(first, "b")
    assert [each.id for each in first.batches.claim(lambda _: False)] == ["b"]
    assert second.batches.claim(lambda _: True) == []
    first.close()
    assert second.batches.claim(lambda _: False) == []
    assert [each.id for each in second.batches.claim(lambda _: True)] == ["b"]
    assert third.batches.claim(lambda _: True) == []


def test_a_batch_ends_once_and_by_its_process(opened):
    first, second = opened(), opened()
    add(first, "f")
    state = batch(first, "b")
    failed = msgspec.structs.replace(state, status="failed")
    second.batches.end(failed)
    assert first.batches.get("t", "b").status == "validating"
    output = first.batches.paths("b")[1]
    output.write_bytes(b"result")
    record = FileRecord(
        id=result_id(output), tenant="t", created=0, expires=1e9, purpose="batch_output",
        filename="o", n_bytes=6,
    )  # fmt: skip
    done = msgspec.structs.replace(state, status="completed")
    first.batches.end(done, [(record, output)])
    first.batches.end(failed)
    first.batches.update(failed, 0)
    first.batches.cancel("t", "b")
    assert second.batches.get("t", "b").status == "completed"
    assert first.files.path(record.id).read_bytes() == b"result"
    assert names(first) == {"f", record.id}


def test_results_that_were_renamed_before_the_end_was_stored_come_back(opened):
    archive = opened()
    add(archive, "f")
    batch(archive, "b")
    output = archive.batches.paths("b")[1]
    archive.files.path(result_id(output)).write_bytes(b"result")
    archive.batches.reopen("b")
    assert output.read_bytes() == b"result"


def test_results_that_grow_count_for_the_store(opened):
    archive = opened()
    add(archive, "f")
    state = batch(archive, "b")
    assert archive.files.has_room()
    archive.batches.update(state, MIB)
    assert not archive.files.has_room()
    with pytest.raises(StorageFullError):
        add(archive, "g")


def test_batches_that_are_over_are_forgotten(opened, clock):
    archive = opened()
    add(archive, "f", ttl_s=1e6)
    state = batch(archive, "b")
    archive.batches.end(msgspec.structs.replace(state, status="completed"))
    clock.now += TTL_S - 1
    archive.files.sweep()
    assert archive.batches.get("t", "b") is not None
    clock.now += 2
    archive.files.sweep()
    assert archive.batches.get("t", "b") is None


def test_an_input_counts_once_where_a_file_has_it_or_none(opened):
    """A deleted file whose batch still runs, and an input that never was a file."""
    archive = opened()
    add(archive, "f", b"x" * 1000)
    before = archive.files.n_used("t")
    state = batch(archive, "batch_b")
    archive.batches.update(msgspec.structs.replace(state, n_input_bytes=1000), 0)
    n_row = archive.files.n_used("t") - before
    assert n_row < 1000
    archive.files.delete("t", "f")
    assert archive.files.n_used() == archive.files.n_used("t") == 1000 + n_row
    archive.batches.end(msgspec.structs.replace(state, status="failed"))
    assert archive.files.n_used("t") == 0


def test_kinds_of_batches_are_listed_apart_to_both_sides(opened):
    archive = opened()
    add(archive, "f")
    ids = [f"msgbatch_{n}" for n in range(4)]
    for name in ("batch_a", *ids, "batch_b"):
        batch(archive, name)

    def page(n_max: int, **edges: str) -> tuple[list[str], bool]:
        found, has_more = archive.batches.page("t", "msgbatch", n_max, **edges)
        return [each.id for each in found], has_more

    assert page(9) == (ids[::-1], False)
    assert page(2, after=ids[3]) == (ids[2:0:-1], True)
    assert page(2, before=ids[0]) == (ids[2:0:-1], True)
    assert page(2, before=ids[2]) == ([ids[3]], False)
    assert [each.id for each in archive.batches.page("t", "batch", 9)[0]] == ["batch_b", "batch_a"]


def test_a_batch_is_deleted_with_its_results_when_it_is_over(opened):
    archive = opened()
    add(archive, "f")
    state = batch(archive, "msgbatch_a")
    archive.batches.delete("t", "msgbatch_a")
    output = archive.batches.paths("msgbatch_a")[1]
    output.write_bytes(b"x")
    record = FileRecord(
        id=result_id(output), tenant="t", created=archive.clock(), expires=1e9, purpose="p",
        filename="f", n_bytes=1,
    )  # fmt: skip
    over = msgspec.structs.replace(state, status="completed", output_file_id=record.id)
    archive.batches.end(over, [(record, output)])
    archive.batches.delete("other", "msgbatch_a")
    assert names(archive) == {"f", record.id}
    archive.batches.delete("t", "msgbatch_a")
    assert (names(archive), archive.batches.get("t", "msgbatch_a")) == ({"f"}, None)
