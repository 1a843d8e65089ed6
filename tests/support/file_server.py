"""A loopback HTTP server with one file, scripted to misbehave."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ServedFile:
    """What the server answers and what it was asked.

    breaks: for each of the next requests, after how many bytes of the body the connection breaks.
    stall: when set, every body stops half way until the event is set.
    """

    content: bytes
    etag: str = '"v1"'
    status: int = 200
    ignores_range: bool = False
    breaks: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    stall: threading.Event | None = None
    port: int = 0

    def url(self, name: str = "model.gguf") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def serve_file(file: ServedFile) -> Iterator[ServedFile]:
    """Serve `file` on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, file)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    file.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield file
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, file: ServedFile) -> None:
    wanted = request.headers.get("Range")
    file.ranges.append(wanted)
    if file.status != 200:
        request.send_error(file.status)
        return
    start = _start(request, file, wanted)
    if start is None:
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(file.content)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    body = file.content[start:]
    request.send_response(206 if start else 200)
    if start:
        last = len(file.content) - 1
        request.send_header("Content-Range", f"bytes {start}-{last}/{len(file.content)}")
    request.send_header("Content-Length", str(len(body)))
    request.send_header("ETag", file.etag)
    request.end_headers()
    if file.breaks:
        body = body[: file.breaks.pop(0)]
    with contextlib.suppress(ConnectionError):
        if file.stall is not None:
            half = len(body) // 2
            request.wfile.write(body[:half])
            file.stall.wait()
            body = body[half:]
        request.wfile.write(body)


def _start(request: BaseHTTPRequestHandler, file: ServedFile, wanted: str | None) -> int | None:
    """The first byte to send; None: there is nothing at that place."""
    if wanted is None or file.ignores_range:
        return 0
    if request.headers.get("If-Range", file.etag) != file.etag:
        return 0
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    return start if start < len(file.content) else None
