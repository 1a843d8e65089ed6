"""Tests that are killed leave no server behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.limits import SOON_S
from tests.support.scripts import REPOSITORY
from tests.support.server import is_alive, wait_until

STALLED = """
import time
from pathlib import Path
from tests.support.server import ServerProcess

def test_that_never_ends():
    with ServerProcess(Path({run_dir!r}), ["--engine", "fake", "--preload", "all"]) as server:
        server.start()
        server.engine()
        pids = " ".join(str(process.pid) for process in server.remember())
        Path({run_dir!r}, "pids.part").write_text(pids)
        Path({run_dir!r}, "pids.part").rename(Path({run_dir!r}, "pids"))
        time.sleep(999)
"""


@pytest.fixture
def killed_pytest(run_dir: Path) -> list[psutil.Process]:
    """The server's processes of a pytest that was killed while its test ran."""
    test = run_dir / "test_stalled.py"
    test.write_text(STALLED.format(run_dir=str(run_dir)))
    arguments = ["-p", "no:cacheprovider", "-c", str(REPOSITORY / "pyproject.toml"), str(test)]
    command = [sys.executable, "-m", "pytest", "--rootdir", str(REPOSITORY), *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as child:
        try:
            wait_until((run_dir / "pids").exists, SOON_S, "the server of the test is up")
            pids = [int(pid) for pid in (run_dir / "pids").read_text().split()]
            return [psutil.Process(pid) for pid in pids]
        finally:
            child.kill()


def test_a_killed_pytest_leaves_no_server_behind(killed_pytest) -> None:
    assert len(killed_pytest) >= 4, "a supervisor, an engine, gunicorn and its worker"
    wait_until(
        lambda: not any(is_alive(process) for process in killed_pytest),
        SOON_S,
        "the processes of the server are gone",
    )
