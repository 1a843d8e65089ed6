"""Whom a pull tells how far it is, where that is not a terminal."""

from __future__ import annotations

import io
from typing import Protocol

from pyserve.models.download.progress import Progress


class Shown(Protocol):
    """Told by one thread. Any of it may raise CancelledError, which ends the pull."""

    def say(self, text: str) -> None:
        """A sentence of what is done."""
        ...

    def file(self, name: str, n_bytes: int | None, sha256: str | None) -> Progress:
        """The progress of a file that begins; bytes and hash where they are known."""
        ...


class SaidText(io.StringIO):
    """A stream whose lines are said."""

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown

    def write(self, text: str) -> int:
        if text.strip():
            self._shown.say(text.strip())
        return len(text)
