"""Download progress: one live line on a terminal, nothing elsewhere; or as others show it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TextIO

import click


class Progress(Protocol):
    """Progress of one download; some of its bytes may be there already. Used by one thread."""

    def set_total(self, total_bytes: int | None) -> None:
        """All that there is to get; None: not known."""
        ...

    def update(self, n_bytes: int) -> None:
        """`n_bytes` of the file are here now; fewer than before when it is fetched anew."""
        ...

    def close(self) -> None:
        """No more comes."""
        ...


class ProgressLine:
    """Implements `Progress` for a terminal. total_bytes: None: unknown.

    Used by one thread. The rate counts only what `update` saw, not what a resumed download had.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO,
        *,
        total_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._first_bytes: int | None = None
        self._started_s = 0.0
        self._bar = click.progressbar(
            range(0),
            label=label,
            hidden=not stream.isatty(),
            show_eta=False,  # click's counts what was there already
            item_show_func=lambda _: f"{self._amount()}, {self._rate()}",
            file=stream,
            width=0,
        )
        self._bar.length = total_bytes

    def set_total(self, total_bytes: int | None) -> None:
        if total_bytes is not None:
            self._bar.length = total_bytes

    def update(self, n_bytes: int) -> None:
        if self._first_bytes is None or n_bytes < self._bar.pos:
            self._first_bytes, self._started_s = n_bytes, self._clock()
        self._bar.pos = min(self._bar.pos, n_bytes)
        self._bar.update(n_bytes - self._bar.pos)

    def close(self) -> None:
        """End the live line."""
        if self._first_bytes is not None:
            self._bar.render_finish()

    def _amount(self) -> str:
        total = f" of {format_bytes(self._bar.length)}" if self._bar.length else ""
        return format_bytes(self._bar.pos) + total

    def _rate(self) -> str:
        elapsed_s = max(self._clock() - self._started_s, 1e-3)
        return f"{format_bytes((self._bar.pos - (self._first_bytes or 0)) / elapsed_s)}/s"


def format_bytes(n_bytes: float) -> str:
    """A size for people, in decimal units: 98.4 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes:.0f} B"
