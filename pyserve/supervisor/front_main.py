"""Main of a supervised gunicorn master: `python -m pyserve.supervisor.front_main PARENT_PID`."""

from __future__ import annotations

import os
import signal
import sys

from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]

from pyserve.process.parent import die_with_parent

ARGUMENTS = ["gunicorn", "-c", "python:pyserve.gunicorn_conf", "pyserve.wsgi:app"]


def main(argv: list[str]) -> None:
    die_with_parent(signal.SIGTERM)
    if os.getppid() != int(argv[1]):
        sys.exit("the supervisor is gone")
    sys.argv = ARGUMENTS
    run()


if __name__ == "__main__":
    main(sys.argv)
