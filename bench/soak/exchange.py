"""One request over a connection of its own, and what became of it."""

from __future__ import annotations

import asyncio
import enum
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

HOST = "127.0.0.1"
READ_LIMIT = 1 << 20
TIMEOUT_S = 300.0
REFUSALS = frozenset({429, 503})
END_OF_HEAD = b"\r\n\r\n"
_WRONG = (OSError, EOFError, ValueError, LookupError, TypeError)  # what a bad answer leads to

# Tokens in the body of an answer. Raises ValueError, which says what is wrong with it.
Judge = Callable[[bytes], int]


@dataclass(frozen=True)
class Shot:
    """A request to send.

    kind: under which it is counted. data: all bytes of it. expected: the right statuses.
    judge: looks at the body of a right status.
    leave_s, leave_bytes: after so many seconds, or bytes of the answer, the client goes away.
    n_sent: so many bytes are sent before it goes away; None = all.
    """

    kind: str
    data: bytes
    judge: Judge
    expected: frozenset[int] = frozenset({200})
    leave_s: float | None = None
    leave_bytes: int | None = None
    n_sent: int | None = None


class Outcome(enum.StrEnum):
    """done: as expected. refused: busy, said properly. left: we went away. failed: all else."""

    DONE = "done"
    REFUSED = "refused"
    LEFT = "left"
    FAILED = "failed"


@dataclass
class Result:
    """start_s, end_s: of the monotonic clock. why: of a failure, or the code of a refusal."""

    kind: str
    start_s: float
    end_s: float = 0.0
    outcome: Outcome = Outcome.FAILED
    n_tokens: int = 0
    why: str = ""

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


class _LeftError(Exception):
    """The client has seen enough."""


async def exchange(port: int, shot: Shot) -> Result:
    """Send `shot` and wait for what comes; nothing is raised for what the server does."""
    result = Result(shot.kind, time.monotonic())
    try:
        async with asyncio.timeout(shot.leave_s or TIMEOUT_S):
            await _talk(port, shot, result)
    except _LeftError:
        result.outcome = Outcome.LEFT
    except TimeoutError:
        if shot.leave_s is None:
            result.why = f"no answer in {TIMEOUT_S:.0f} s"
        else:
            result.outcome = Outcome.LEFT
    except _WRONG as error:
        result.why = f"{type(error).__name__}: {error}"[:300]
    result.end_s = time.monotonic()
    return result


def http_request(method: str, path: str, body: bytes = b"", more: str = "") -> bytes:
    """The bytes of a request that asks for the connection to be closed."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def _talk(port: int, shot: Shot, result: Result) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, limit=READ_LIMIT)
    try:
        writer.write(shot.data[: shot.n_sent])
        if shot.n_sent is not None:
            await writer.drain()
            raise _LeftError
        head = (await reader.readuntil(END_OF_HEAD)).decode("latin-1").lower()
        body = await _read_body(reader, head, shot.leave_bytes)
    finally:
        writer.transport.abort()
    _judge(shot, head, body, result)


def judge_answer(shot: Shot, data: bytes, result: Result) -> None:
    """Put into `result` what all bytes of an answer are worth; nothing is raised for that."""
    try:
        head, end, body = data.partition(END_OF_HEAD)
        if not end:
            raise EOFError(f"an answer of {len(data)} bytes")
        _judge(shot, *_whole(head.decode("latin-1").lower() + "\r\n", body), result)
    except _WRONG as error:
        result.why = f"{type(error).__name__}: {error}"[:300]


def _judge(shot: Shot, head: str, body: bytes, result: Result) -> None:
    """Raises what is wrong with the answer. head: in lower case."""
    status = int(head.split()[1])
    if status in shot.expected:
        result.n_tokens = shot.judge(body)
        result.outcome = Outcome.DONE
    elif status in REFUSALS:
        result.why = _refusal(head, body)
        result.outcome = Outcome.REFUSED
    else:
        raise ValueError(f"status {status} {body[:200]!r}")


def _refusal(head: str, body: bytes) -> str:
    """The code of a refusal. Raises ValueError when it does not say when to come back."""
    code = str(json.loads(body)["error"]["code"])
    if "\r\nretry-after: " not in head:
        raise ValueError(f"{code} without Retry-After")
    return code


async def _read_body(reader: asyncio.StreamReader, head: str, leave_bytes: int | None) -> bytes:
    """The whole body. Raises EOFError when it is cut off, _LeftError after `leave_bytes`."""
    if "transfer-encoding: chunked" not in head:
        n_bytes = int(head.partition("content-length: ")[2].split()[0])
        if leave_bytes is not None and leave_bytes < n_bytes:
            await reader.readexactly(leave_bytes)
            raise _LeftError
        return await reader.readexactly(n_bytes)
    parts, n_left = [], leave_bytes
    while n_bytes := int(await reader.readline(), 16):
        if n_left is not None:
            n_left -= n_bytes
            if n_left < 0:
                raise _LeftError
        parts.append((await reader.readexactly(n_bytes + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


def _whole(head: str, data: bytes) -> tuple[str, bytes]:
    """Head and body of an answer of which `data` follows the head. Raises EOFError."""
    if "transfer-encoding: chunked" not in head:
        n_bytes = int(head.partition("content-length: ")[2].split()[0])
        if len(data) < n_bytes:
            raise EOFError(f"{len(data)} of {n_bytes} bytes")
        return head, data[:n_bytes]
    parts: list[bytes] = []
    begin = 0
    while True:
        line_end = data.find(b"\r\n", begin)
        if line_end < 0:
            raise EOFError("no last chunk")
        n_bytes = int(data[begin:line_end], 16)
        begin = line_end + 2 + n_bytes + 2
        if len(data) < begin:
            raise EOFError("a chunk is cut off")
        if n_bytes == 0:
            return head, b"".join(parts)
        parts.append(data[line_end + 2 : begin - 2])
