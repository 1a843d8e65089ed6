"""Main of a supervised gunicorn master: `python -m pyserve.supervisor.front_main PARENT_PID`.

Begins to serve when a line comes on its standard input, and ends when none does.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]

from pyserve.process.parent import die_with_parent

ARGUMENTS = ["gunicorn", "-c", "python:pyserve.gunicorn_conf", "pyserve.wsgi:app"]
# What workers need, but for what reads the settings: all that takes time to import.
MODULES = (
    "pyserve.app",
    "pyserve.backend.client",
    "pyserve.web.batches.runner",
    "pyserve.web.connection.worker",
)


def wait_for_word() -> bool:
    """Whether to serve; standard input has nothing afterwards."""
    is_told = bool(os.read(0, 64))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return is_told


def main(argv: list[str]) -> None:
    die_with_parent(signal.SIGTERM)
    if os.getppid() != int(argv[1]):
        sys.exit("the supervisor is gone")
    for name in MODULES:
        importlib.import_module(name)
    if not wait_for_word():
        return
    sys.argv = ARGUMENTS
    run()


if __name__ == "__main__":
    main(sys.argv)
