"""Used tokens by hour, key and model."""

from __future__ import annotations

import pytest

from pyserve.web.keys.usage import HOUR_S, Counts, Row, Usage
from tests.support.clocks import Clock

HOUR = 100 * HOUR_S


@pytest.fixture
def clock():
    clock = Clock()
    clock.now_s = HOUR + 10.0
    return clock


@pytest.fixture(params=["memory", "file"])
def usage(request, tmp_path, clock):
    return Usage(tmp_path / "usage.sqlite" if request.param == "file" else None, clock)


def test_requests_add_up_within_an_hour(usage, clock):
    usage.add("alice", "m", Counts(1, 10, 4, 5))
    usage.add("alice", "m", Counts(1, 20, 0, 5))
    usage.add("", "m", Counts(1, 1, 0, 1))
    clock.now_s += HOUR_S
    usage.add("alice", "m", Counts(1, 7, 0, 7))
    rows = usage.read(HOUR, HOUR + 2 * HOUR_S)
    assert rows == [
        Row(HOUR, "", "m", Counts(1, 1, 0, 1)),
        Row(HOUR, "alice", "m", Counts(2, 30, 4, 10)),
        Row(HOUR + HOUR_S, "alice", "m", Counts(1, 7, 0, 7)),
    ]
    assert usage.read(HOUR + HOUR_S, HOUR + 2 * HOUR_S) == rows[2:]
    assert usage.read(HOUR, HOUR + 2 * HOUR_S) == rows  # reading takes nothing away


def test_workers_and_later_servers_see_one_file(tmp_path, clock):
    path = tmp_path / "usage.sqlite"
    one, other = Usage(path, clock), Usage(path, clock)
    one.add("k", "m", Counts(1, 10, 0, 5))
    one.flush()
    other.add("k", "m", Counts(1, 10, 0, 5))
    assert other.read(HOUR, HOUR + 1)[0].counts == Counts(2, 20, 0, 10)
    assert Usage(path, clock).read(HOUR, HOUR + 1)[0].counts.n_requests == 2


def test_what_cannot_be_written_is_kept_for_later_and_told_once(tmp_path, clock, caplog):
    path = tmp_path / "later" / "usage.sqlite"
    usage = Usage(path, clock)
    for _ in range(2):
        usage.add("k", "m", Counts(1, 10, 0, 5))
        usage.flush()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(OSError, match=r"usage\.sqlite"):
        usage.read(HOUR, HOUR + 1)
    path.parent.mkdir()
    assert usage.read(HOUR, HOUR + 1) != []
    assert path.stat().st_mode & 0o777 == 0o600
    assert usage.read(HOUR, HOUR + 1)[0].counts == Counts(2, 20, 0, 10)
