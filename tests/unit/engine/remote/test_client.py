from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.calls import Render
from pyserve.engine.protocol import Event, GenerateRequest
from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.remote.server import EngineServer
from pyserve.engine.remote.wire import HEADER, Cancel, Hello, Submit, encode
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    InternalError,
    InvalidRequestError,
    QueueFullError,
    UnavailableError,
)
from pyserve.process.sockets import connect, listen
from tests.support.limits import SOON_S
from tests.support.scripted_core import MODEL, ScriptedCore, accepted, finished, step

REQUEST = GenerateRequest(prompt="hello")


class Served:
    """An EngineServer over a ScriptedCore, in a thread."""

    def __init__(self, directory: Path, *, max_queued_bytes: int = 1 << 20) -> None:
        directory.chmod(0o700)
        self.path = directory / "engine.sock"
        self.core = RecordingCore(n_requests_max=50)
        self.server = EngineServer(self.core, listen(self.path), max_queued_bytes=max_queued_bytes)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        except ValueError as error:
            self.error = error

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()

    def remote(self) -> RemoteEngine:
        return RemoteEngine(self.path)


class RecordingCore(ScriptedCore):
    """Lets a test wait for what a front did, which arrives in another thread."""

    def __init__(self, *, n_requests_max: int) -> None:
        super().__init__(n_requests_max=n_requests_max)
        self.changed = threading.Condition()

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        with self.changed:
            super().submit(request_id, request)
            self.changed.notify_all()

    def cancel(self, request_id: int) -> None:
        with self.changed:
            super().cancel(request_id)
            self.changed.notify_all()

    def wait_cancelled(self, *request_ids: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: set(request_ids) <= set(self.cancelled), SOON_S)

    def ask(self, call):
        if call == Render([]):
            raise ValueError("secret detail")
        return super().ask(call)


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.stop()


@pytest.fixture
def remote(served) -> Iterator[RemoteEngine]:
    remote = served.remote()
    yield remote
    remote.close()


def run_all(core: ScriptedCore, *texts: str) -> None:
    """Answer every request with its id and the texts."""
    events: list[Event] = []
    for core_id in core.requests:
        events += [accepted(core_id), *(step(core_id, text) for text in texts), finished(core_id)]
    core.push(*events)


def test_a_request_goes_out_and_its_output_comes_back(served, remote):
    request = GenerateRequest(messages=[{"role": "user", "content": "hi"}], stop=["x"])
    stream = remote.submit(request)
    assert list(served.core.requests.values()) == [request]
    run_all(served.core, "a", "b")
    assert [delta.text for delta in stream] == ["a", "b", ""]
    assert stream.n_prompt_tokens == 3


def test_calls_are_answered(remote):
    assert remote.tokenize("hi", add_special=True, parse_special=False) == [104, 105]
    assert remote.tokenize("", add_special=True, parse_special=False) == []
    assert remote.detokenize([104, 105]) == "hi"
    assert remote.pieces([104, 195]) == [b"h", b"\xc3"]
    messages = [{"role": "user", "content": "hi"}]
    assert remote.render(messages) == "user: hi\n"
    assert remote.tokenize_chat(messages) == list(b"user: hi\n")
    assert remote.info() == MODEL
    assert remote.stats().n_running == 0


def test_an_unexpected_error_is_internal_and_tells_no_details(remote):
    with pytest.raises(InternalError) as caught:
        remote.render([])
    assert "secret" not in caught.value.message


def test_a_full_queue_is_told_by_submit(served, remote):
    streams = [remote.submit(REQUEST) for _ in range(50)]
    with pytest.raises(QueueFullError) as caught:
        remote.submit(REQUEST)
    assert caught.value.details == {"retry_after_s": 1}
    assert len(streams) == len(served.core.requests)


def test_text_that_is_not_unicode_is_the_clients_mistake(remote):
    with pytest.raises(InvalidRequestError):
        remote.submit(GenerateRequest(prompt="\ud800"))
    assert remote.detokenize([104]) == "h"


def test_cancel_reaches_the_core(served, remote):
    stream = remote.submit(REQUEST)
    stream.cancel()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)


def test_two_fronts_with_equal_ids_get_their_own_output(served):
    one, two = served.remote(), served.remote()
    first, second = one.submit(REQUEST), two.submit(REQUEST)
    id_one, id_two = served.core.requests
    served.core.push(finished(id_two, "two"), finished(id_one, "one"))
    assert first.get(SOON_S).text == "one"
    assert second.get(SOON_S).text == "two"
    one.close(), two.close()


def test_a_front_that_goes_away_cancels_its_requests_only(served):
    gone, stays = served.remote(), served.remote()
    gone.submit(REQUEST), gone.submit(REQUEST)
    stream = stays.submit(REQUEST)
    first, second, third = served.core.requests
    gone.close()
    served.core.wait_cancelled(first, second)
    assert third not in served.core.cancelled
    served.core.push(finished(third, "fine"))
    assert stream.get(SOON_S).text == "fine"
    stays.close()


def test_close_ends_streams_and_later_calls(served):
    remote = served.remote()
    stream = remote.submit(REQUEST)
    remote.close()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)
    with pytest.raises(UnavailableError):
        remote.submit(REQUEST)
    with pytest.raises(UnavailableError):
        remote.stats()
    stream.cancel()
    remote.close()


def test_the_end_of_the_engine_fails_every_stream_and_later_calls(served, remote):
    streams = [remote.submit(REQUEST) for _ in range(3)]
    served.stop()
    for stream in streams:
        with pytest.raises(EngineRestartedError):
            stream.get(SOON_S)
    with pytest.raises(UnavailableError):
        remote.submit(REQUEST)
    assert not remote.is_alive


def test_a_failing_engine_ends_the_server_with_its_error(served, remote):
    stream = remote.submit(REQUEST)
    served.core.crash(ValueError("bug"))
    with pytest.raises(EngineRestartedError):
        stream.get(SOON_S)
    served.stop()
    assert str(served.error) == "bug"


def test_no_engine_at_the_path(tmp_path):
    with pytest.raises(UnavailableError):
        RemoteEngine(tmp_path / "nothing.sock")


def test_many_threads_submit_over_one_connection(served, remote):
    texts: list[str] = []

    def ask() -> None:
        texts.append("".join(delta.text for delta in remote.submit(REQUEST)))

    askers = [threading.Thread(target=ask) for _ in range(16)]
    for asker in askers:
        asker.start()
    with served.core.changed:
        assert served.core.changed.wait_for(lambda: len(served.core.requests) == 16, SOON_S)
    run_all(served.core, "a", "b")
    for asker in askers:
        asker.join(SOON_S)
    assert texts == ["ab"] * 16


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode(Cancel(request_id=1)),
        encode(Hello(version=999)),
        encode(Hello()) + encode(Hello()),
        encode(Hello()) + HEADER.pack(5) + b"\xc1\xc1\xc1\xc1\xc1",
        encode(Hello()) + b"\xff\xff\xff\xff",
    ],
)
def test_a_peer_that_breaks_the_protocol_is_dropped_and_the_others_stay(served, remote, data):
    with connect(served.path) as peer:
        peer.settimeout(SOON_S)
        peer.sendall(data)
        read_to_eof(peer)
    assert remote.detokenize([104]) == "h"


def test_half_a_frame_then_eof_does_no_harm(served, remote):
    with connect(served.path) as peer:
        peer.sendall(encode(Hello()) + encode(Submit(request_id=1, request=REQUEST))[:-3])
    assert remote.detokenize([104]) == "h"
    assert not served.core.requests


def test_a_front_that_does_not_read_is_dropped_and_blocks_nobody(tmp_path):
    served = Served(tmp_path, max_queued_bytes=1 << 16)
    remote = served.remote()
    with connect(served.path) as slow:
        slow.sendall(encode(Hello()) + encode(Submit(request_id=1, request=REQUEST)))
        with served.core.changed:
            assert served.core.changed.wait_for(lambda: served.core.requests, SOON_S)
        (slow_id,) = served.core.requests
        for _ in range(100):
            served.core.push(step(slow_id, "x" * (1 << 15)))
        served.core.wait_cancelled(slow_id)
    stream = remote.submit(REQUEST)
    served.core.push(finished(max(served.core.requests), "fine"))
    assert stream.get(SOON_S).text == "fine"
    remote.close()
    served.stop()


def test_what_a_socket_does_not_take_at_once_arrives_later(tmp_path):
    served = Served(tmp_path, max_queued_bytes=1 << 24)
    remote = served.remote()
    stream = remote.submit(REQUEST)
    (core_id,) = served.core.requests
    texts = [str(part) * 1000 for part in range(200)]
    served.core.push(*(step(core_id, text) for text in texts), finished(core_id))
    assert [delta.text for delta in stream] == [*texts, ""]
    remote.close()
    served.stop()


def test_the_socket_is_private(served):
    assert served.path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_others_can_enter_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(PermissionError):
        listen(tmp_path / "engine.sock")


def read_to_eof(peer: socket.socket) -> bytes:
    data = b""
    try:
        while part := peer.recv(4096):
            data += part
    except ConnectionResetError:
        pass
    return data
