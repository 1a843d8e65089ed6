from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.calls import Tokenize
from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.protocol import Delta, GenerateRequest
from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.remote.server import EngineServer
from pyserve.engine.streams.revival import MAX_DEATHS, Blocklist, Reviver, can_go_on, remaining
from pyserve.engine.streams.stream import RequestStream
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    PoisonRequestError,
    UnavailableError,
)
from pyserve.process.sockets import listen
from tests.support.limits import SOON_S
from tests.support.server import wait_until

HELD = GenerateRequest(prompt="#hold=2 b c d")
WORDS = Tokenize("a b", add_special=False, parse_special=False)
UNSTARTED = GenerateRequest(prompt="#hold=0 b c d")


class Life:
    """One engine process, as far as its socket shows."""

    def __init__(self, path: Path, reviver: Reviver, kernels: str = "") -> None:
        self.core = FakeCore(EngineConfig(model_id="m", model_path=""))
        self._server = EngineServer(self.core, listen(path))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        self.remote = RemoteEngine(path, reviver=reviver, kernels=kernels)

    def end(self) -> None:
        """Without a word to its clients, as in a crash."""
        self._server.stop()
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()


class Line:
    """The engines of one model, one after another."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self._directory = directory
        self._lives: list[Life] = []
        self.is_last = False
        self.kernels = "fast"
        self.reviver = Reviver(self._find, Blocklist())
        self.begin()

    @property
    def core(self) -> FakeCore:
        return self._lives[-1].core

    @property
    def remote(self) -> RemoteEngine:
        return self._lives[-1].remote

    def begin(self) -> None:
        path = self._directory / f"{len(self._lives)}.sock"
        self._lives.append(Life(path, self.reviver, self.kernels))

    def crash(self) -> None:
        """The engine ends; the next one is there already."""
        self.begin()
        self._lives[-2].end()

    def crash_for_good(self) -> None:
        self.is_last = True
        self._lives[-1].end()

    def _find(self) -> RemoteEngine:
        if self.is_last:
            raise UnavailableError("there is no other engine")
        return self.remote

    def close(self) -> None:
        for life in self._lives:
            life.remote.close()
            life.end()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.close()


def read(stream: RequestStream, n: int) -> str:
    """The texts of the next n deltas."""
    deltas = [stream.get(SOON_S) for _ in range(n)]
    return "".join(delta.text for delta in deltas if delta is not None)


def test_a_begun_answer_goes_on_where_it_was(line):
    stream = line.remote.submit(HELD)
    begun = read(stream, 2)
    line.crash()
    assert line.core.wait_submitted(1, SOON_S)
    assert len(line.core.requests[0].said) == 2
    line.core.release()
    rest = list(stream)
    assert begun + "".join(delta.text for delta in rest) == HELD.prompt
    assert rest[-1].finish.usage.n_completion_tokens == 4
    wait_until(lambda: line.reviver.n_revived == 1, SOON_S, "one was revived")


def test_what_was_not_read_yet_is_not_said_again(line):
    stream = line.remote.submit(HELD)
    stream.wait_progress(SOON_S)
    line.crash()
    assert line.core.wait_submitted(1, SOON_S)
    line.core.release()
    assert "".join(delta.text for delta in stream) == HELD.prompt


def test_a_request_that_has_not_begun_begins_again(line):
    stream = line.remote.submit(UNSTARTED)
    assert stream.wait_accepted(SOON_S)
    line.crash()
    assert line.core.wait_submitted(1, SOON_S)
    assert line.core.requests[0] == UNSTARTED
    line.core.release()
    assert "".join(delta.text for delta in stream) == UNSTARTED.prompt


def test_answers_can_be_kept_from_going_on(tmp_path):
    tmp_path.chmod(0o700)
    lives: list[Life] = []
    reviver = Reviver(lambda: lives[-1].remote, Blocklist(), goes_on=False)
    lives.append(Life(tmp_path / "1.sock", reviver))
    begun, unbegun = lives[0].remote.submit(HELD), lives[0].remote.submit(UNSTARTED)
    read(begun, 2)
    lives.append(Life(tmp_path / "2.sock", reviver))
    lives[0].end()
    with pytest.raises(EngineRestartedError):
        begun.get(SOON_S)
    assert lives[1].core.wait_submitted(1, SOON_S)
    lives[1].core.release()
    assert "".join(delta.text for delta in unbegun) == UNSTARTED.prompt
    for life in lives:
        life.remote.close()
        life.end()


def test_who_is_there_when_two_engines_die_is_refused(line):
    poison = line.remote.submit(UNSTARTED)
    line.crash()
    assert line.core.wait_submitted(1, SOON_S)
    line.crash()
    with pytest.raises(PoisonRequestError):
        poison.get(SOON_S)
    with pytest.raises(PoisonRequestError):
        line.remote.submit(UNSTARTED)
    other = line.remote.submit(GenerateRequest(prompt="another one"))
    assert "".join(delta.text for delta in other) == "another one"


def test_who_goes_on_in_between_is_not_to_blame(line):
    request = GenerateRequest(prompt="#slow=20 #words=1000 x")
    stream = line.remote.submit(request)
    for _ in range(4):
        read(stream, 3)
        line.crash()
        assert line.core.wait_submitted(1, SOON_S)
        stream.wait_progress(SOON_S)
    assert line.reviver.n_revived == 4 < MAX_DEATHS
    stream.cancel()


def test_who_is_there_when_kernels_fail_is_not_to_blame(line):
    stream = line.remote.submit(UNSTARTED)
    for kernels in ("slow", "slower", "stock"):
        line.kernels = kernels
        line.crash()
        assert line.core.wait_submitted(1, SOON_S)
        assert not stream.is_over
    line.crash()
    assert line.core.wait_submitted(1, SOON_S)
    line.crash()
    with pytest.raises(PoisonRequestError):
        stream.get(SOON_S)


def test_a_cancelled_request_ends_with_its_engine(line):
    line.reviver._turn.acquire()  # nothing is given to the next engine yet
    stream = line.remote.submit(HELD)
    read(stream, 2)
    line.crash()
    stream.cancel()
    line.reviver._turn.release()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)
    assert line.core.requests == []


def test_without_another_engine_the_client_learns_why(line):
    stream = line.remote.submit(HELD)
    read(stream, 2)
    line.crash_for_good()
    with pytest.raises(UnavailableError, match="no other engine"):
        stream.get(SOON_S)


def test_a_request_that_comes_when_the_engine_is_gone_waits_for_the_next(line):
    gone = line.remote
    line.crash()
    gone._reader.join(SOON_S)
    stream = gone.submit(GenerateRequest(prompt="late"))
    assert "".join(delta.text for delta in stream) == "late"


def test_the_end_of_the_front_ends_those_that_wait(line):
    line.reviver._turn.acquire()
    stream = line.remote.submit(HELD)
    read(stream, 2)
    line.crash()
    line.reviver.close(UnavailableError("shutting down"))
    with pytest.raises(UnavailableError, match="shutting down"):
        stream.get(SOON_S)
    line.reviver._turn.release()


@pytest.mark.parametrize(
    ("fields", "delta", "expected"),
    [
        ({}, None, True),
        ({}, Delta(text="a", tokens=[1]), True),
        ({"n_prompt_logprobs": 0}, None, True),
        ({"n_prompt_logprobs": 0}, Delta(text="a", tokens=[1]), False),
        ({"n_logit_rows": 1}, None, True),
        ({"n_logit_rows": 1}, Delta(text="a", tokens=[1]), False),
        ({"n_logprobs": 0}, Delta(tokens=[1]), False),  # its logprob is held back, and lost
    ],
)
def test_only_what_can_be_continued_is(fields, delta, expected):
    stream = RequestStream(GenerateRequest(prompt="x", **fields), 1, lambda _id: None)
    if delta is not None:
        stream.push(delta)
    assert can_go_on(stream) is expected


def test_the_blocklist_forgets():
    now = [0.0]
    blocklist = Blocklist(lambda: now[0])
    blocklist.add(HELD)
    with pytest.raises(PoisonRequestError):
        blocklist.check(GenerateRequest(prompt=HELD.prompt, deadline_ms=5.0))
    blocklist.check(UNSTARTED)
    now[0] = 601.0
    blocklist.check(HELD)


def test_an_engine_that_nobody_misses_is_no_error(line, caplog):
    line.crash()
    line.reviver.take([], UnavailableError("the engine ended"))
    assert caplog.records == []


def test_only_the_time_that_is_left_goes_to_the_next_engine():
    request = GenerateRequest(prompt="a", max_total_ms=1000.0)
    stream = RequestStream(request, 1, lambda _request_id: None)
    stream.begun_at -= 0.4
    assert 1 <= (remaining(stream).max_total_ms or 0) <= 600
    stream.begun_at -= 10
    assert remaining(stream).max_total_ms == 1.0


def test_the_time_of_an_answer_goes_on_in_the_next_engine():
    request = GenerateRequest(prompt="a", max_total_ms=9000.0, max_decode_ms=1000.0)
    stream = RequestStream(request, 1, lambda _request_id: None)
    assert remaining(stream).max_decode_ms == 1000.0
    stream.push(Delta(text="a", tokens=[1]))
    stream.answered_at = (stream.answered_at or 0) - 0.4
    left = remaining(stream)
    assert left.max_decode_ms is None
    assert 1 <= (left.max_total_ms or 0) <= 600
    stream.begun_at -= 8.7
    assert 1 <= (remaining(stream).max_total_ms or 0) <= 300


def test_a_request_is_not_to_blame_for_engines_that_it_was_moved_from(line):
    stream = line.remote.submit(HELD)
    begun = read(stream, 2)
    for _ in range(MAX_DEATHS + 1):
        left = line.remote
        line.begin()
        left.leave()
        assert line.core.wait_submitted(1, SOON_S)
    line.core.release()
    assert begun + "".join(delta.text for delta in stream) == HELD.prompt
    assert (stream.n_deaths, stream.n_blamed) == (0, 0)


def test_a_call_whose_engine_ended_is_asked_of_the_next_one(line):
    earlier = line.remote
    line.crash()
    wait_until(lambda: not earlier.is_alive, SOON_S, "the end of the engine")
    assert earlier.ask(WORDS) == line.remote.ask(WORDS)
    later = line.remote
    line.crash_for_good()
    wait_until(lambda: not later.is_alive, SOON_S, "the end of the engine")
    with pytest.raises(UnavailableError, match="no other engine"):
        earlier.ask(WORDS)


def test_a_call_is_asked_of_one_more_engine_only(line, monkeypatch):
    asked = []

    def dies(engine, call):
        asked.append(engine)
        raise EngineRestartedError("the engine process ended")

    monkeypatch.setattr(RemoteEngine, "ask_once", dies)
    with pytest.raises(PoisonRequestError, match="crashed twice"):
        line.remote.ask(WORDS)
    assert asked == [line.remote] * 2
