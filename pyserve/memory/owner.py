"""Whose work a stored response is: a process that holds a lock as long as it lives."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

SUFFIX = ".owner"


class Owner:
    """This process, for others that look into the same directory.

    However the process ends, the system lets go of its lock, and the others know; the next one
    removes its file.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.name = secrets.token_hex(8)
        new = directory / f"{self.name}.new"
        self._fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        new.rename(directory / f"{self.name}{SUFFIX}")  # others never see it without its lock
        for path in directory.glob(f"*{SUFFIX}"):
            self.is_alive(path.stem)

    def is_alive(self, name: str) -> bool:
        """Whether the owner of that name lives. One that is dead leaves nothing behind."""
        if name == self.name:
            return True
        path = self._directory / f"{name}{SUFFIX}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        path.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        (self._directory / f"{self.name}{SUFFIX}").unlink(missing_ok=True)
        os.close(self._fd)
