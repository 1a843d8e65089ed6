"""Detects that a model file was replaced or written to."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class FileStamp:
    """Notices that a file was replaced or written to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.remember()

    @property
    def mtime_s(self) -> float | None:
        return None if self._stamp is None else self._stamp[0] / 1e9

    def remember(self) -> None:
        """Take the file's current state as unchanged."""
        self._stamp = self._read()

    def has_changed(self) -> bool:
        return self._read() != self._stamp

    def _read(self) -> tuple[int, int, int] | None:
        status: os.stat_result | None = None
        with contextlib.suppress(OSError):
            status = self._path.stat()
        return status and (status.st_mtime_ns, status.st_size, status.st_ino)
