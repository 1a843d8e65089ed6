from __future__ import annotations

import os

import pytest
from gunicorn.config import Config

from pyserve.web.connection.heartbeat import Heartbeat


class Watched:
    """A heartbeat of time 0, and a master that looks at it at given times."""

    def __init__(self):
        self.now = 0.0
        self.heartbeat = Heartbeat(Config(), lambda: self.now)
        self.touch()

    def touch(self):
        os.utime(self.heartbeat.fileno(), (self.now, self.now))

    def silent_s(self, *times):
        """For how long the worker seems silent, each time."""
        seen = []
        for self.now in times:
            seen.append(self.now - self.heartbeat.last_update())
        return seen


@pytest.fixture
def watched():
    made = Watched()
    yield made
    made.heartbeat.close()


def test_a_worker_that_is_stuck_is_seen(watched):
    assert watched.silent_s(*range(32))[-1] == pytest.approx(31, abs=0.01)


def test_the_time_of_a_freeze_does_not_count(watched):
    assert watched.silent_s(0, 1, 2, 602, 603) == pytest.approx([0, 1, 2, 2, 3], abs=0.01)


def test_a_worker_that_stays_stuck_after_a_freeze_is_seen(watched):
    assert watched.silent_s(0, *range(600, 632))[-1] == pytest.approx(31, abs=0.01)


@pytest.mark.parametrize("touched_at", [1.5, 599.9], ids=["just before", "just after"])
def test_a_sign_of_life_around_a_freeze_begins_anew(watched, touched_at):
    watched.silent_s(0, 1)
    watched.now = touched_at
    watched.touch()
    assert watched.silent_s(600, 601) == pytest.approx([0, 1], abs=0.01)


def test_a_worker_that_starts_has_all_the_time_it_needs():
    now = [0.0]
    heartbeat = Heartbeat(Config(), lambda: now[0])
    for now[0] in range(100):
        assert heartbeat.last_update() >= now[0]
    heartbeat.close()


def test_a_stop_is_announced_to_a_process_that_was_forked_before(watched):
    assert not watched.heartbeat.is_stop_announced
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.read(reader, 1)
        os._exit(watched.heartbeat.is_stop_announced)
    watched.heartbeat.announce_stop()
    os.write(writer, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    os.close(reader)
    os.close(writer)
