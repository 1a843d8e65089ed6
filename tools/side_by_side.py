"""Runs the tests in two halves at once: those that wait for servers, beside all others.

    python tools/side_by_side.py COMMAND...

COMMAND is pytest's. Neither half keeps two cores busy. The first one is shown as it runs, the
other one when it has ended. The status is 0 when both have it. Ends both when it is interrupted.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile

SERVERS = ("tests/e2e", "tests/hostile")


def main(command: list[str]) -> int:
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda number, _frame: sys.exit(128 + number))
    others = [*command, *(f"--ignore={folder}" for folder in SERVERS)]
    with tempfile.TemporaryFile() as log:
        halves = [
            subprocess.Popen(others, stdout=log, stderr=log),
            subprocess.Popen([*command, *SERVERS]),
        ]
        try:
            codes = [half.wait() for half in reversed(halves)]
        finally:
            for half in halves:
                half.terminate()
            for half in halves:
                half.wait()
            log.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(log.read())
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
