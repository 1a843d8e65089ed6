"""Servers in bad surroundings: no disk or output, few files, no home, a read-only root, signals."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.limits import SOON_S
from tests.support.server import SERVE, ServerProcess, is_alive, wait_until

CHAT = "/v1/chat/completions"
FAKE = ["--engine", "fake", "--log-level", "debug"]
N_REQUESTS = 300


def ask(server: ServerProcess, content: str = "hello there") -> str:
    body = {"messages": [{"role": "user", "content": content}]}
    reply = httpx.post(server.url + CHAT, json=body, timeout=SOON_S, trust_env=False)
    answer: str = reply.raise_for_status().json()["choices"][0]["message"]["content"]
    return answer


def fill(pipe: int) -> None:
    """Write until the pipe takes no more."""
    filler = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b"x" * 4096)
    os.close(filler)


def test_a_pipe_that_nobody_reads_does_not_stop_it(make_server: MakeServer) -> None:
    reader, writer = os.pipe()
    try:
        fill(writer)
        server = make_server([*FAKE, "--log-format", "json"], output=writer).start()
        with httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False) as client:
            for _ in range(N_REQUESTS):
                assert client.get("/v1/nothing").status_code == 404
        server.engine().kill()
        wait_until(lambda: server.health() == 200, SOON_S, "it goes on")
        assert ask(server) == "hello there"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_full_disk_does_not_stop_it(make_server: MakeServer) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        server = make_server([*FAKE, "--log-file", "/dev/full"], output=full).start()
    finally:
        os.close(full)
    for _ in range(20):
        assert ask(server) == "hello there"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_closed_output_does_not_stop_it(make_server: MakeServer) -> None:
    shell = ["bash", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "bash", *SERVE]
    server = make_server(FAKE, command=shell).start()
    assert ask(server) == "hello there"
    for process in server.remember():
        links = [Path(f"/proc/{process.pid}/fd/{fd}").readlink() for fd in (1, 2)]
        assert set(links) == {Path(os.devnull)}
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_log_file_that_was_moved_or_removed_is_opened_again(
    make_server: MakeServer, run_dir: Path, style: str
) -> None:
    log = run_dir / "log"
    server = make_server([*FAKE, "--log-file", str(log), "--log-format", style]).start()
    log.rename(run_dir / "log.1")
    server.signal(signal.SIGUSR1)
    server.engine().kill()
    wait_until(lambda: log.exists() and "SIGKILL" in log.read_text(), SOON_S, "a new log")
    assert "SIGKILL" not in (run_dir / "log.1").read_text()
    server.wait_healthy()
    log.unlink()
    server.engine().kill()
    wait_until(lambda: log.exists() and "SIGKILL" in log.read_text(), SOON_S, "another log")
    server.wait_healthy()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_few_files_are_not_used_up(make_server: MakeServer) -> None:
    shell = ["bash", "-c", 'ulimit -n 64 && exec "$@"', "bash", *SERVE]
    server = make_server(FAKE, command=shell).start()
    worker = server.worker()
    crowd = []
    for _ in range(100):
        client = socket.socket()
        client.settimeout(1)
        crowd.append(client)
        client.connect(("127.0.0.1", server.port))
    for client in crowd:
        client.close()
    wait_until(lambda: server.health() == 200, SOON_S, "it answers again")
    assert ask(server) == "hello there"
    assert is_alive(worker)


def test_it_runs_on_a_read_only_root_without_a_home(make_server: MakeServer, run_dir: Path) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("needs root, and unshare")
    script = (
        f"mount --bind {run_dir} {run_dir} && mount -o remount,ro,bind / && umask 000 &&"
        ' ! touch /no 2>/dev/null && exec "$@"'
    )
    command = ["unshare", "--mount", "bash", "-c", script, "bash", *SERVE]
    if subprocess.run([*command[:5], "bash", "true"], check=False).returncode != 0:
        pytest.skip("mounts are not allowed here")
    env = {"HOME": None, "LANG": None, "LC_ALL": None}
    server = make_server(FAKE, command=command, env=env).start()
    assert ask(server) == "hello there"
    (private,) = run_dir.glob("pyserve-*")
    assert private.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in private.glob("*.sock"))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_signals_by_the_hundred_disturb_nothing(make_server: MakeServer) -> None:
    server = make_server(FAKE).start()
    targets = [process for process in server.remember() if process.pid != server.master().pid]
    with httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False) as client:
        content = " ".join(f"word{n}" for n in range(50))
        body = {"messages": [{"role": "user", "content": f"#slow=20 {content}"}], "stream": True}
        with client.stream("POST", CHAT, json=body) as response:
            lines = response.iter_lines()
            text = next(lines)
            for _ in range(300):
                for process in targets:
                    process.send_signal(signal.SIGUSR1)
                time.sleep(0.002)
            text += "\n".join(lines)
    assert text.count("data: ") > 50
    assert all(text.count(f'word{n}"') + text.count(f"word{n} ") == 1 for n in range(50))
    assert "[DONE]" in text
    assert all(is_alive(process) for process in targets)
