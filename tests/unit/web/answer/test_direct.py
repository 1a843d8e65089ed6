"""Frames that go to the client past the stream's own thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, Usage
from pyserve.engine.streams.stream import RequestStream
from pyserve.web.answer.direct import DirectLane, direct_lane
from pyserve.web.request.disconnect import SOCKET_KEY, ClientGoneError
from tests.support.limits import SOON_S

FINISH = Finish(reason="stop", usage=Usage(n_prompt_tokens=1, n_completion_tokens=1))


def text(content: str) -> Delta:
    return Delta(text=content, n_tokens=1, tokens=[1])


def plain(delta: Delta) -> bytes | None:
    return None if delta.logprobs or delta.text.startswith("!") else delta.text.encode()


def chunk(content: str) -> bytes:
    return f"{len(content):X}\r\n{content}\r\n".encode()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=SOON_S)
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def stream() -> RequestStream:
    return RequestStream(GenerateRequest(prompt="x"), 1, lambda _id: None)


def test_plain_text_goes_past_the_reader_and_is_remembered(sockets, stream):
    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, plain)
    stream.push(text("a"))
    stream.push(text("bc"))
    assert sockets[1].recv(100) == chunk("a") + chunk("bc")
    assert stream.take() is None
    assert stream.said == [1, 1]
    assert lane.sent_at > 0
    lane.close()


@pytest.mark.parametrize(
    "other", [text("!"), Delta(text="z", n_tokens=1, finish=FINISH)], ids=["not plain", "last"]
)
def test_what_is_not_plain_and_what_follows_is_the_readers(sockets, stream, other):
    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, plain)
    stream.push(text("a"))
    stream.push(other)
    stream.push(text("b"))
    assert sockets[1].recv(100) == chunk("a")
    assert stream.take() == other
    if other.finish is None:
        assert stream.take() == text("b")
    lane.close()


def test_nothing_overtakes_what_waits_for_the_reader(sockets, stream):
    stream.push(text("a"))
    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, plain)
    stream.push(text("b"))
    assert [stream.take(), stream.take()] == [text("a"), text("b")]


def test_a_frame_that_cannot_be_made_is_the_readers(sockets, stream):
    def broken(delta: Delta) -> bytes | None:
        return delta.text.encode()  # a lone surrogate has no UTF-8

    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, broken)
    stream.push(text("\ud800"))
    assert stream.take() == text("\ud800")


def test_a_closed_lane_leaves_all_to_the_reader(sockets, stream):
    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, plain)
    lane.close()
    lane.close()
    stream.push(text("a"))
    assert stream.take() == text("a")


def fill(lane: DirectLane, stream: RequestStream) -> list[Delta]:
    """Push large frames until one is not taken whole, and one more; what was pushed."""
    lane.open(stream, plain)
    pushed = []
    while not pushed or len(stream._deltas) == 0:
        pushed.append(text(f"{len(pushed)}:" + "x" * 300_000))
        stream.push(pushed[-1])
    assert lane._rest
    return pushed


def test_what_a_slow_client_did_not_take_is_written_before_all_else(sockets, stream):
    lane = DirectLane(sockets[0], SOON_S)
    pushed = fill(lane, stream)
    got = bytearray()
    wanted = b"".join(chunk(delta.text) for delta in pushed[:-1])

    def read() -> None:
        while len(got) < len(wanted):
            got.extend(sockets[1].recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    assert lane.is_behind
    lane.close()
    assert not lane.is_behind
    reader.join(SOON_S)
    assert bytes(got) == wanted
    assert stream.take() == pushed[-1]


def test_a_client_that_takes_nothing_is_given_up(sockets, stream):
    lane = DirectLane(sockets[0], 0.05)
    fill(lane, stream)
    with pytest.raises(ClientGoneError):
        lane.close()
    lane.close()
    with pytest.raises(BrokenPipeError):  # half a frame is there: the connection has ended
        sockets[0].send(b"x", socket.MSG_NOSIGNAL)


def test_a_client_that_has_gone_is_left_to_the_reader(sockets, stream):
    lane = DirectLane(sockets[0], 1.0)
    lane.open(stream, plain)
    sockets[1].close()
    stream.push(text("a"))
    stream.push(text("b"))
    taken = [stream.take(), stream.take()]
    assert text("b") in taken


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_only_plain_sockets_and_chunked_responses_have_a_lane(sockets, protocol):
    environ = {SOCKET_KEY: sockets[0], "SERVER_PROTOCOL": protocol}
    assert (direct_lane(environ, 1.0) is not None) == (protocol == "HTTP/1.1")
    assert direct_lane({"SERVER_PROTOCOL": protocol}, 1.0) is None
    assert direct_lane(environ | {SOCKET_KEY: object()}, 1.0) is None
