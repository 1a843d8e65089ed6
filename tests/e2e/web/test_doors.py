"""Other ways to listen than a port with plain HTTP: TLS and Unix sockets."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import make_certificate, needs_openssl
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, sse_events, wait_until

HEADER_TIMEOUT_S = 1
BODY = {"messages": [{"role": "user", "content": "a b c"}], "stream": True}

# More than the front has threads; each is in the middle of its handshake, or of its headers.
N_STALLED = 150


def is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


class Door:
    """A running server and a client that comes through its door. path: of a Unix socket."""

    def __init__(
        self, server: ServerProcess, client: httpx.Client, path: Path | None = None
    ) -> None:
        self.server = server
        self.client = client
        self._path = path
        server.start(wait=False)
        self.wait_healthy()
        server.remember()

    def wait_healthy(self) -> None:
        wait_until(self._is_healthy, SOON_S, "/health is 200")

    def _is_healthy(self) -> bool:
        if self._path is not None and not is_served(self._path):
            return False  # the client leaves a socket open that it cannot connect
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/health").status_code == httpx.codes.OK
        return False

    def events(self) -> list[str]:
        """What a stream brings."""
        with self.client.stream("POST", "/v1/chat/completions", json=BODY) as response:
            assert response.status_code == httpx.codes.OK
            *events, end = sse_events(response)
        assert end == "[DONE]"
        return [str(event) for event in events]


@pytest.fixture
def encrypted(make_server: Callable[..., ServerProcess], run_dir: Path) -> Iterator[Door]:
    """With TLS; its files are `run_dir`/used.cert and `run_dir`/used.key."""
    cert, key = make_certificate(run_dir, "used")
    args = ["--engine", "fake", "--ssl-cert-file", str(cert), "--ssl-key-file", str(key)]
    server = make_server([*args, "--header-timeout-s", str(HEADER_TIMEOUT_S)])
    url = f"https://localhost:{server.port}"
    trust = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=url, verify=trust, timeout=SOON_S, trust_env=False) as client:
        yield Door(server, client)


@pytest.fixture
def by_path(make_server: Callable[..., ServerProcess], run_dir: Path) -> Iterator[Door]:
    """With a Unix socket at `run_dir`/sock, beside one that was left over."""
    path = run_dir / "sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    args = ["--host", f"unix:{path}", "--socket-mode", "660", "--header-timeout-s", "1"]
    server = make_server(["--engine", "fake", *args])
    transport = httpx.HTTPTransport(uds=str(path))
    url = "http://localhost"
    with httpx.Client(base_url=url, transport=transport, timeout=SOON_S) as client:
        yield Door(server, client, path)


def certificate_of(port: int) -> str:
    return ssl.get_server_certificate(("localhost", port), timeout=SOON_S)


@needs_openssl
def test_tls_serves_plain_answers_streams_and_new_certificates(
    encrypted: Door, run_dir: Path
) -> None:
    assert len(encrypted.events()) > 1
    first = certificate_of(encrypted.server.port)
    cert, key = make_certificate(run_dir, "new")
    shutil.copy(key, run_dir / "used.key")  # of another certificate
    encrypted.server.signal(signal.SIGHUP)
    wait_until(lambda: "goes on as it is" in encrypted.server.output(), SOON_S, "a refusal")
    assert certificate_of(encrypted.server.port) == first
    shutil.copy(cert, run_dir / "used.cert")
    encrypted.server.signal(signal.SIGHUP)
    wait_until(
        lambda: certificate_of(encrypted.server.port) == cert.read_text(), SOON_S, "a new one"
    )


@needs_openssl
def test_clients_without_tls_are_told_and_those_that_stall_get_408(encrypted: Door) -> None:
    port = encrypted.server.port
    plain = httpx.get(f"http://localhost:{port}/health", timeout=SOON_S, trust_env=False)
    assert plain.status_code == httpx.codes.BAD_REQUEST
    assert "https://" in plain.json()["error"]["message"]
    trust = ssl._create_unverified_context()
    with (
        socket.create_connection(("localhost", port), timeout=SOON_S) as raw,
        trust.wrap_socket(raw) as client,
    ):
        client.sendall(b"GET /health HT")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert client.recv(4096) == b""  # the end of the data, by TLS's own word
    with socket.create_connection(("localhost", port), timeout=SOON_S) as silent:
        assert silent.recv(1) == b""


@needs_openssl
def test_clients_that_stall_in_their_handshake_hold_up_nobody(
    make_server: Callable[..., ServerProcess], run_dir: Path
) -> None:
    cert, key = make_certificate(run_dir, "used")
    args = ["--ssl-cert-file", str(cert), "--ssl-key-file", str(key), "--header-timeout-s", "600"]
    server = make_server(["--engine", "fake", "--max-streams", "1", *args])
    trust = ssl.create_default_context(cafile=str(cert))
    url = f"https://localhost:{server.port}"
    with (
        httpx.Client(base_url=url, verify=trust, timeout=SOON_S, trust_env=False) as client,
        contextlib.ExitStack() as stack,
    ):
        door = Door(server, client)
        for i in range(N_STALLED):
            raw = stack.enter_context(socket.create_connection(("localhost", server.port)))
            if i % 3 == 0:
                raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            elif i % 3 == 1:
                tls = trust.wrap_socket(raw, server_hostname="localhost")
                stack.enter_context(tls).sendall(b"GET /health HTTP/1.1\r\nHost:")
        assert len(door.events()) > 1


def test_a_unix_socket_outlives_gunicorn_and_goes_with_the_server(
    by_path: Door, run_dir: Path
) -> None:
    path = run_dir / "sock"
    assert path.stat().st_mode & 0o777 == 0o660
    assert len(by_path.events()) > 1
    by_path.server.master().terminate()  # by itself it would remove the socket
    wait_until(lambda: "gunicorn ended" in by_path.server.output(), SOON_S, "gunicorn ends")
    by_path.wait_healthy()
    by_path.server.signal(signal.SIGTERM)
    assert by_path.server.wait() == 0
    assert not path.exists()


def test_clients_of_a_unix_socket_have_the_same_deadlines(by_path: Door, run_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SOON_S)
        client.connect(str(run_dir / "sock"))
        client.sendall(b"GET /health HT")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
    by_path.wait_healthy()
