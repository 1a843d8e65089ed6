"""Runs a command that ends with the process that started it, even when that one is killed."""

from __future__ import annotations

import os
import signal
import sys

from pyserve.process.parent import die_with_parent


def tied(argv: list[str]) -> list[str]:
    """A command that becomes `argv`, under the same process id.

    NOTE: the kernel looks at the thread that starts it; start it from one that stays.
    """
    return [sys.executable, "-P", __file__, str(os.getpid()), *argv]


def main() -> None:
    """Become the command that follows the id of the parent."""
    parent, *argv = sys.argv[1:]
    die_with_parent(signal.SIGKILL)
    if os.getppid() == int(parent):
        os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
