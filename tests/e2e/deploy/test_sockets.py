"""A socket that somebody else listens on, as systemd does, while servers come and go behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from bench.peers.tied import tied

FAKE = ["--engine", "fake", "--kernels", "auto"]
# As systemd does it: the socket is descriptor 3, and the process that may take it is named.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[2]}
os.execv(sys.executable, [sys.executable, "-m", "pyserve", "serve", *sys.argv[3:]])
"""
BODY = {"messages": [{"role": "user", "content": "one two three"}]}
TIMEOUT_S = 60.0
N_MORE = 10


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens, whoever accepts."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:
        yield listener


def start(directory: Path, listener: socket.socket, n: int = 1) -> subprocess.Popen[bytes]:
    """A server that is told of `n` sockets, and does not outlive us."""
    directory.mkdir()
    env = os.environ | {"XDG_RUNTIME_DIR": str(directory), "XDG_STATE_HOME": str(directory)}
    fd = listener.fileno()
    command = [sys.executable, "-c", ACTIVATE, str(fd), str(n), *FAKE, "--port", "1"]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(tied(command), env=env, pass_fds=[fd], stdout=log, stderr=log)


@pytest.mark.timeout(300)
def test_no_request_is_lost_between_two_servers(listener: socket.socket, run_dir: Path) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    is_over = threading.Event()
    statuses: list[int] = []
    errors: list[Exception] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                answer = httpx.post(
                    f"{url}/v1/chat/completions", json=BODY, timeout=TIMEOUT_S, trust_env=False
                )
                statuses.append(answer.status_code)
            except httpx.HTTPError as error:
                errors.append(error)

    servers = [start(run_dir / "a", listener)]
    clients = [threading.Thread(target=ask) for _ in range(3)]
    try:
        assert httpx.get(f"{url}/livez", timeout=TIMEOUT_S, trust_env=False).status_code == 200
        for client in clients:
            client.start()
        servers[0].send_signal(signal.SIGTERM)
        assert servers[0].wait(TIMEOUT_S) == 0, (run_dir / "a" / "log").read_text()
        n_before = len(statuses)
        servers.append(start(run_dir / "b", listener))
        while len(statuses) < n_before + N_MORE and not errors:
            is_over.wait(0.05)
    finally:
        is_over.set()
        for client in clients:
            client.join(TIMEOUT_S)
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(TIMEOUT_S)
    assert errors == []
    ready = {200, 503}  # 503: the model of a new server is being loaded
    assert set(statuses) <= ready


def test_several_sockets_are_refused(listener: socket.socket, run_dir: Path) -> None:
    assert start(run_dir / "a", listener, 2).wait(TIMEOUT_S) == 1
    assert "2 sockets were passed" in (run_dir / "a" / "log").read_text()
