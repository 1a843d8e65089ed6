"""Runs the templates of clients in a child process, which may hang, grow or crash.

What it may use is bounded there, and by the kernel: CPU time, memory, the length of the prompt. A
child that does not answer is ended, and the next template gets another one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

import msgspec

from pyserve.engine.request import Segment
from pyserve.errors import ErrorInfo, InvalidRequestError, from_info

MAX_WALL_S = 30.0
MAX_CPU_S = 2  # of a job, and up to a second more
MAX_GROWTH_BYTES = 256 << 20
MAX_PROMPT_BYTES = 4 << 20
MAX_FRAME_BYTES = 64 << 20
RECV_BYTES = 1 << 20
_HEAD = struct.Struct("<I")
_PARAM = "chat_template"


class Job(msgspec.Struct, frozen=True, array_like=True):
    """A conversation for a template.

    bos, eos, controls: texts of the model's tokens. texts: messages, tools, variables and
    documents as JSON.
    """

    source: str
    bos: str
    eos: str
    controls: list[str]
    texts: list[str]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a job."""

    segments: list[Segment] = []
    error: ErrorInfo | None = None


class Sandbox:
    """A child process for templates, started when it is needed. One job at a time, any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def run(self, job: Job) -> list[Segment]:
        """The prompt. Raises InvalidRequestError."""
        with self._lock:
            try:
                channel = self._channel or self._start()
                send_frame(channel, msgspec.msgpack.encode(job))
                answer = receive_frame(channel, time.monotonic() + MAX_WALL_S)
            except (OSError, EOFError):
                self._end()
                message = "takes too long or too much memory, or cannot be run"
                raise InvalidRequestError(f"{_PARAM} {message}", param=_PARAM) from None
        outcome = msgspec.msgpack.decode(answer, type=Outcome)
        if outcome.error is not None:
            raise from_info(outcome.error)
        return outcome.segments

    def close(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        own, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pyserve.engine.sandbox_main", str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._channel = own
        return own

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._channel = None


def send_frame(channel: socket.socket, body: bytes) -> None:
    channel.sendall(_HEAD.pack(len(body)) + body)


def receive_frame(channel: socket.socket, deadline: float | None = None) -> bytes:
    """The next frame. Raises EOFError at the end, TimeoutError after `deadline` (monotonic)."""
    (n_bytes,) = _HEAD.unpack(_receive(channel, _HEAD.size, deadline))
    if n_bytes > MAX_FRAME_BYTES:
        raise EOFError
    return _receive(channel, n_bytes, deadline)


def _receive(channel: socket.socket, n_bytes: int, deadline: float | None) -> bytes:
    body = bytearray()
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        selector.register(channel, selectors.EVENT_READ)
        while len(body) < n_bytes:
            left_s = None if deadline is None else deadline - time.monotonic()
            if not selector.select(left_s if left_s is None else max(left_s, 0)):
                raise TimeoutError
            part = channel.recv(min(n_bytes - len(body), RECV_BYTES))
            if not part:
                raise EOFError
            body += part
    return bytes(body)
