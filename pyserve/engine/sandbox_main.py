"""Main of a process that runs templates of clients: `python -m pyserve.engine.sandbox_main FD`.

Ends with its parent, whose socket it reads jobs from; also after a job that it has grown by.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
from pathlib import Path

import msgspec

from pyserve.engine.native import rendered
from pyserve.engine.sandbox import (
    MAX_CPU_S,
    MAX_GROWTH_BYTES,
    MAX_PROMPT_BYTES,
    Job,
    Outcome,
    receive_frame,
    send_frame,
)
from pyserve.errors import InvalidRequestError, PyserveError
from pyserve.process.parent import drop_privileges

MAX_KEPT_BYTES = 64 << 20


def main(argv: list[str]) -> int:
    channel = socket.socket(fileno=int(argv[1]))
    drop_privileges()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    n_bytes = _mapped_bytes() + MAX_GROWTH_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
    resident = _resident_bytes()
    while _resident_bytes() < resident + MAX_KEPT_BYTES:
        try:
            body = receive_frame(channel)
        except EOFError:
            return 0
        _limit_cpu()
        send_frame(channel, msgspec.msgpack.encode(outcome_of(body)))
    return 0


def outcome_of(body: bytes) -> Outcome:
    """What becomes of the job in a frame."""
    try:
        segments = rendered(msgspec.msgpack.decode(body, type=Job))
    except PyserveError as error:
        return Outcome(error=error.to_info())
    n_bytes = sum(len(segment.text.encode()) for segment in segments)
    if n_bytes > MAX_PROMPT_BYTES:
        message = f"chat_template makes a prompt of {n_bytes} bytes, at most {MAX_PROMPT_BYTES}"
        return Outcome(error=InvalidRequestError(message, param="chat_template").to_info())
    return Outcome(segments=segments)


def _limit_cpu() -> None:
    """Have the kernel end this process when the next job computes for too long."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime) + MAX_CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _mapped_bytes() -> int:
    return _pages(0) * resource.getpagesize()


def _resident_bytes() -> int:
    return _pages(1) * resource.getpagesize()


def _pages(field: int) -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[field])


if __name__ == "__main__":
    status = main(sys.argv)
    os._exit(status)  # what templates left behind is not worth its time
