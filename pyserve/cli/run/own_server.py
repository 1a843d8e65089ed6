"""A server for one chat: `pyserve serve` on a private Unix socket, which ends with the chat."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pyserve.backend.runtime import runtime_base
from pyserve.client.server import NoServerError, Server
from pyserve.errors import ModelLoadError
from pyserve.process.parent import die_with_parent

POLL_S = 0.05
END_S = 10.0
N_LOG_CHARS = 2000


@contextlib.contextmanager
def own_server(model: str | None) -> Iterator[Server]:
    """A server of this model alone (None: what `pyserve serve` serves), which can answer.

    Its settings are those of the environment (PYSERVE_CTX_SIZE, ...), but nobody else finds it.
    Raises ModelLoadError with the end of its log when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="pyserve-run-", dir=runtime_base()) as folder:
        socket, log = Path(folder, "s"), Path(folder, "log")
        argv = [sys.executable, "-m", "pyserve", "serve", *([model] if model else [])]
        argv += ["--host", f"unix:{socket}", "--log-level", "warning", "--response-store-mib", "0"]
        argv += ["--file-store-mib", "0"]  # nor does it take up batches of others
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=os.environ | {"XDG_RUNTIME_DIR": folder},
                preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509  # one thread
            )
        try:
            with Server(f"unix:{socket}") as server:
                while not _is_ready(server, socket):
                    if process.poll() is not None:
                        raise ModelLoadError(_said(log))
                    time.sleep(POLL_S)
                yield server
        finally:
            _end(process)


def _is_ready(server: Server, socket: Path) -> bool:
    """Raises ModelLoadError when the model cannot be loaded."""
    if not socket.exists():
        return False
    try:
        health = server.get("/health", accepts=(503,))
    except NoServerError:
        return False
    if health["status"] == "failed":
        raise ModelLoadError(health["error"]["message"])
    return bool(health["status"] == "ok")


def _said(log: Path) -> str:
    text = log.read_text(errors="replace").strip()[-N_LOG_CHARS:]
    return text.removeprefix("Error: ") or "the server ended without a word"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
