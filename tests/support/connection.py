"""One connection to a server, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from tests.support.limits import SOON_S


class Answer(NamedTuple):
    """A whole response; the names of its headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """An HTTP/1.1 client that shows what is on the wire."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SOON_S)
        self._file: BinaryIO = self._socket.makefile("rb")

    def send(self, method: str, path: str, body: Any = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
        self.send_bytes(f"{head}Content-Type: application/json\r\n\r\n".encode() + data)

    def send_bytes(self, data: bytes) -> None:
        """Send as much of `data` as the server takes before it closes the connection."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, value = line.decode("latin-1").split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self._file.read(int(headers["content-length"]))
        assert headers["transfer-encoding"] == "chunked"
        parts = []
        while n_bytes := int(self._file.readline(), 16):
            parts.append(self._file.read(n_bytes))
            assert self._file.readline() == b"\r\n"
        assert self._file.readline() == b"\r\n"
        return b"".join(parts)

    def answer(self) -> Answer:
        """The next response."""
        status, headers = self.head()
        return Answer(status, headers, self.body(headers))

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        self.send(method, path, body)
        return self.answer()

    def is_closed(self) -> bool:
        """Whether the server ends it without a word, or with a refusal. Fails when it hangs."""
        with contextlib.suppress(ConnectionError):
            rest = self._file.read()
            return not rest or rest.startswith(b"HTTP/1.1 408 ")
        return True

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
