"""Signals that come before there is a supervisor."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyserve.cli.stopping import stoppable
from tests.support.file_server import ServedFile, serve_file
from tests.support.limits import SOON_S
from tests.support.server import wait_until

CONTENT = b"GGUF\x03\x00\x00\x00" + bytes(1_000_000)
PULL = [sys.executable, "-c", "from pyserve.cli import main; main()", "pull"]


@pytest.mark.parametrize(("sig", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_download_is_ended_with_a_word_and_kept_for_the_next_run(tmp_path: Path, sig, code):
    resume = threading.Event()
    part = tmp_path / ".incoming" / "m.gguf.part"
    with serve_file(ServedFile(CONTENT, stall=resume)) as file:
        command = [*PULL, file.url("m.gguf"), "--models-dir", str(tmp_path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: part.exists() and part.stat().st_size, SOON_S, "it has begun")
            process.send_signal(sig)
            _out, err = process.communicate(timeout=SOON_S)
        resume.set()
    assert process.returncode == code
    assert f"stopped by {sig.name}; run the same command again to continue" in err
    assert "Traceback" not in err
    assert part.exists()
    assert not (tmp_path / "m.gguf").exists()


def test_the_old_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
