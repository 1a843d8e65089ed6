"""Shows how far a download is: one live line on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_LIVE_INTERVAL_S = 0.2
_PLAIN_INTERVAL_S = 10.0


class Progress:
    """Progress of one download of `total_bytes` (None: unknown); some may be there already.

    Used by one thread. Rates count only what `update` saw, not what a resumed download had.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO,
        *,
        total_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._stream = stream
        self._total_bytes = total_bytes
        self._clock = clock
        self._is_live = stream.isatty()
        self._started_s = self._shown_s = clock()
        self._first_bytes: int | None = None
        self._n_bytes = 0

    def set_total(self, total_bytes: int | None) -> None:
        if total_bytes is not None:
            self._total_bytes = total_bytes

    def update(self, n_bytes: int) -> None:
        """`n_bytes` of the file are here now."""
        if self._first_bytes is None:
            self._first_bytes = n_bytes
        self._n_bytes = n_bytes
        interval_s = _LIVE_INTERVAL_S if self._is_live else _PLAIN_INTERVAL_S
        if self._clock() - self._shown_s >= interval_s:
            self._show()

    def note(self, text: str) -> None:
        """A line of its own."""
        self._stream.write(("\r\x1b[K" if self._is_live else "") + text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Show the last state and end the live line."""
        if self._first_bytes is not None:
            self._show()
            if self._is_live:
                self._stream.write("\n")
                self._stream.flush()

    def _show(self) -> None:
        self._shown_s = self._clock()
        line = f"{self._label}: {self._amount()}, {self._rate()}"
        self._stream.write(f"\r\x1b[K{line}" if self._is_live else f"{line}\n")
        self._stream.flush()

    def _amount(self) -> str:
        if not self._total_bytes:
            return format_bytes(self._n_bytes)
        percent = min(100, 100 * self._n_bytes // self._total_bytes)
        return f"{format_bytes(self._n_bytes)} of {format_bytes(self._total_bytes)} ({percent}%)"

    def _rate(self) -> str:
        elapsed_s = max(self._clock() - self._started_s, 1e-3)
        return f"{format_bytes((self._n_bytes - (self._first_bytes or 0)) / elapsed_s)}/s"


def format_bytes(n_bytes: float) -> str:
    """A size for people, in decimal units: 98.4 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes:.0f} B"
