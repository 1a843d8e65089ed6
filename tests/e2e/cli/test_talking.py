"""The commands that talk to a running server, and to people."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyserve.cli import main
from tests.e2e.conftest import MakeServer
from tests.support.server import ServerProcess, is_alive

FAKE = ["--engine", "fake", "--kernels", "auto"]
WAIT_S = 60.0


@pytest.fixture
def here(calm_server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """The one server that this user runs."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(calm_server.directory))
    monkeypatch.setenv("XDG_STATE_HOME", str(calm_server.directory / "state"))
    return calm_server


def call(*args: str, input: str | bytes | None = None) -> Result:  # click's name
    return CliRunner().invoke(main, args, input=input)


def test_a_server_of_this_user_is_found_and_its_models_are_moved(here: ServerProcess) -> None:
    [found] = json.loads(call("ps", "--json").stdout)
    assert (found["url"], found["status"]) == (here.url, "ok")
    assert "ready" in call("ps").stdout
    assert call("unload", "fake").stdout == "fake: unloaded\n"
    assert "unloaded" in call("ps").stdout
    assert json.loads(call("load", "fake", "--json").stdout)["model"] == "fake"
    nothing = call("load", "nothing")
    assert (nothing.exit_code, "nothing" in nothing.stderr) == (1, True)


def test_a_server_without_a_log_file_says_so(here: ServerProcess) -> None:
    assert here.returncode is None
    assert "--log-file" in call("logs").stderr
    assert "no server of yours runs here at http://x" in call("logs", "--url", "http://x").stderr


def test_stop_waits_until_the_server_is_gone(
    make_server: MakeServer, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run_dir))
    log = run_dir / "pyserve.log"
    server = make_server([*FAKE, "--log-file", str(log)]).start()
    assert call("logs", "-n", "1").stdout == log.read_text().splitlines(keepends=True)[-1]
    assert call("stop").stdout == f"{server.url}: stopped\n"
    assert server.wait() == 0
    assert call("ps").stdout == "no server of yours runs here\n"
    assert "no server of yours runs here" in call("stop").stderr


def test_one_question_is_answered_by_the_server_that_runs(here: ServerProcess) -> None:
    assert here.returncode is None
    asked = call("run", "fake", "How are you?", "--set", "max_tokens=3")
    assert (asked.exit_code, len(asked.stdout.split())) == (0, 3)
    whole = json.loads(
        call("run", "--json", "--set", "max_tokens=2", input="Hello my friend").stdout
    )
    assert whole["usage"]["completion_tokens"] == 2
    odd = call("run", "fake", "Hello", "--set", "max_tokens=2", "--set", "fooo=1")
    assert "without effect: fooo" in odd.stderr
    for wrong, code, said in (
        (("temperature=9",), 1, "temperature"),
        (("temprature=1",), 1, "did you mean temperature"),
        (("temperature",), 2, "give NAME=VALUE"),
        (("seed=1", "--json-schema", "nowhere.json"), 1, "nowhere.json: No such file"),
    ):
        bad = call("run", "fake", "Hello", "--set", *wrong)
        assert (bad.exit_code, said in bad.stderr) == (code, True), bad.stderr
    latin = call("run", "fake", input="caf\xe9".encode("latin-1"))
    assert (latin.exit_code, "no UTF-8 text: byte 3" in latin.stderr) == (1, True)


def test_a_named_server_has_to_have_the_named_model(calm_server: ServerProcess) -> None:
    asked = call("run", "fakee", "Hello", "--url", calm_server.url)
    assert asked.stderr == "Error: this server has no model 'fakee': did you mean fake?\n"
    nobody = call("run", "fake", "Hello", "--url", "http://127.0.0.1:9")
    assert "no server answers at http://127.0.0.1:9" in nobody.stderr
    assert "no URL" in call("ps", "--url", "http://a:b:c").stderr


def test_a_server_of_its_own_ends_with_the_question(run_dir: Path) -> None:
    env = os.environ | {"XDG_RUNTIME_DIR": str(run_dir), "PYSERVE_ENGINE": "fake"}
    argv = [sys.executable, "-m", "pyserve", "run", "fake", "Hello you"]
    done = subprocess.run(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, len(done.stdout.split())) == (0, 2), done.stderr
    assert list(run_dir.iterdir()) == []


def test_a_chat_in_a_terminal(here: ServerProcess) -> None:
    with terminal("run", "fake", "--set", "max_tokens=4") as (say, see):
        see(">>>")
        say("Hello\r")
        see("first after")
        say("/hlep\r")
        see("did you mean /help?")
        say('"""one\rtwo"""\r')
        see("first after")
        say("/save kept\r")
        see("kept as kept")
        say("/bye\r")
        see("")
    chat = json.loads((here.directory / "state/pyserve/chats/kept.json").read_text())
    asked = [turn["content"] for turn in chat["messages"] if turn["role"] == "user"]
    assert (asked, len(chat["messages"])) == (["Hello", "one\ntwo"], 4)


def test_ctrl_c_stops_the_answer_and_not_the_chat(here: ServerProcess) -> None:
    assert is_alive(here.engine())
    with terminal("run", "fake", "--system", "") as (say, see):
        see(">>>")
        say("One two #hold=2 three\r")
        see("[?2004l")  # the line is read
        see("One")
        say("\x03")
        see("stopped")
        see(">>>")
        say("\x04")
        see("")


@contextmanager
def terminal(*args: str) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """A command in a terminal: type something; wait until something is shown ("" = it ended)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, "-m", "pyserve", *args])
    unread = ""

    def say(text: str) -> None:
        os.write(fd, text.encode())

    def see(text: str) -> None:
        nonlocal unread
        deadline = time.monotonic() + WAIT_S
        while not text or text not in unread:
            left = deadline - time.monotonic()
            assert select.select([fd], [], [], max(left, 0))[0], f"no {text!r} in {unread!r}"
            try:
                data = os.read(fd, 65536)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                assert not text, f"ended without {text!r}: {unread!r}"
                return
            unread += data.decode(errors="replace")
        unread = unread.partition(text)[2]

    try:
        yield say, see
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except BaseException:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(fd)
