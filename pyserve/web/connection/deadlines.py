"""`--header-timeout-s`, `--body-timeout-s`, `--write-timeout-s`: deadlines for slow clients.

gunicorn's threaded worker waits for ever for each of them. A thread that waits is freed by shutting
down the socket under it; a client that has not sent all of its request is told first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

CHECK_S = 0.25

# Ends a connection; True when the client is still sending its request, and can be told why.
ShutDown = Callable[[bool], None]


@dataclass(frozen=True)
class ClientTimeouts:
    """Seconds for a client to send headers, then a body, and to take each part of an answer."""

    header_s: float = 10.0
    body_s: float = 30.0
    write_s: float = 30.0


class Deadlines:
    """The deadline of each worker thread, and the thread that enforces them.

    Thread: `begin`, `limit`, `lift` and `end` concern the calling thread's own connection.
    """

    def __init__(self, timeouts: ClientTimeouts | None = None, *, check_s: float = CHECK_S) -> None:
        self.timeouts = timeouts or ClientTimeouts()
        self._check_s = check_s
        self._limits: dict[int, tuple[float, ShutDown, bool]] = {}
        self._local = threading.local()

    def start(self) -> None:
        """Start to enforce; the thread ends with the process."""
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def begin(self, shut_down: ShutDown) -> None:
        """This thread works on a connection that `shut_down` ends; its headers are awaited."""
        self._local.shut_down = shut_down
        self.limit(self.timeouts.header_s, is_sending=True)

    def limit(self, seconds: float, *, is_sending: bool) -> None:
        """Set a deadline `seconds` from now for the client to send, or to take, its part."""
        shut_down = getattr(self._local, "shut_down", None)
        if shut_down is not None:
            deadline = time.monotonic() + seconds
            self._limits[threading.get_ident()] = (deadline, shut_down, is_sending)

    def lift(self) -> None:
        """Remove the deadline: nothing is expected of the client now."""
        self._limits.pop(threading.get_ident(), None)

    def end(self) -> None:
        """This thread is done with its connection."""
        self.lift()
        self._local.shut_down = None

    def enforce(self, now_s: float) -> None:
        """Shut down every connection whose time is over."""
        for ident, limit in list(self._limits.items()):
            deadline, shut_down, is_sending = limit
            if now_s >= deadline and self._limits.pop(ident, None) is not None:
                shut_down(is_sending)

    def _run(self) -> None:
        while True:
            time.sleep(self._check_s)
            self.enforce(time.monotonic())


class TimedApp:
    """Wraps a WSGI application with deadlines for its clients."""

    def __init__(self, app: Callable[..., Iterable[bytes]], deadlines: Deadlines) -> None:
        self._app = app
        self._deadlines = deadlines

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._deadlines.lift()  # the headers are there
        environ["wsgi.input"] = TimedInput(environ["wsgi.input"], self._deadlines)
        return TimedBody(self._app(environ, start_response), self._deadlines)


class TimedInput:
    """A request body with one deadline for all of it.

    seconds_per_byte: by so much each byte puts it off; for bodies that may be large.
    """

    def __init__(self, stream: Any, deadlines: Deadlines) -> None:
        self._stream = stream
        self._deadlines = deadlines
        self._deadline = time.monotonic() + deadlines.timeouts.body_s
        self.seconds_per_byte = 0.0

    def read(self, size: int | None = None) -> bytes:
        return self._timed(self._stream.read, size)

    def readline(self, size: int | None = None) -> bytes:
        return self._timed(self._stream.readline, size)

    def readlines(self, hint: int | None = None) -> list[bytes]:  # noqa: ARG002 (of WSGI)
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _timed(self, read: Callable[..., bytes], size: int | None) -> bytes:
        self._deadlines.limit(self._deadline - time.monotonic(), is_sending=True)
        try:
            data = read() if size is None else read(size)
            self._deadline += self.seconds_per_byte * len(data)
            return data
        finally:
            self._deadlines.lift()


class TimedBody:
    """A response body with a deadline for each part."""

    def __init__(self, body: Iterable[bytes], deadlines: Deadlines) -> None:
        self._body = body
        self._deadlines = deadlines

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            self._deadlines.limit(self._deadlines.timeouts.write_s, is_sending=False)
            yield part  # the server writes it before it comes back
            self._deadlines.lift()
        self._deadlines.limit(
            self._deadlines.timeouts.write_s, is_sending=False
        )  # for the end of the response

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
