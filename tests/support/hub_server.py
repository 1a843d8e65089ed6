"""A stand-in of the Hugging Face hub on loopback: repositories, and files behind a redirect."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FakeHub:
    """files: content by `owner/name/FILE`. token: what is asked for, if any.

    requests: path and Authorization header of all that came. wrong_hash: said of every file.
    goes_on: while it is not set, files stop before their end.
    """

    files: dict[str, bytes]
    token: str | None = None
    wrong_hash: bool = False
    goes_on: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve `hub` on a free port until the block ends."""
    hub.goes_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization")
            hub.requests.append((self.path, authorization))
            status, headers, body = _answer(hub, self.path, authorization)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            n_first = len(body) - 100 if self.path.startswith("/cdn/") else len(body)
            self.wfile.write(body[:n_first])
            if n_first < len(body):
                hub.goes_on.wait()
                with contextlib.suppress(OSError):  # who asked has gone
                    self.wfile.write(body[n_first:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.goes_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(
    hub: FakeHub, path: str, authorization: str | None
) -> tuple[int, dict[str, str], bytes]:
    path = path.partition("?")[0]
    if path.startswith("/cdn/"):
        return 200, {"ETag": '"1"'}, hub.files[path.removeprefix("/cdn/")]
    if hub.token is not None and authorization != f"Bearer {hub.token}":
        return 401, {}, b"{}"
    if path.startswith("/api/models/"):
        return _describe(hub, path.removeprefix("/api/models/"))
    repo, _, file = path.removeprefix("/").partition("/resolve/main/")
    if f"{repo}/{file}" not in hub.files:
        return 404, {}, b"{}"
    return 302, {"Location": f"http://localhost:{hub.port}/cdn/{repo}/{file}"}, b""


def _describe(hub: FakeHub, repo: str) -> tuple[int, dict[str, str], bytes]:
    siblings = [
        {
            "rfilename": name.removeprefix(f"{repo}/"),
            "size": len(content),
            "lfs": {"sha256": "0" * 64 if hub.wrong_hash else hashlib.sha256(content).hexdigest()},
        }
        for name, content in hub.files.items()
        if name.startswith(f"{repo}/")
    ]
    if not siblings:
        return 404, {}, b"{}"
    return 200, {}, json.dumps({"id": repo, "siblings": siblings}).encode()
