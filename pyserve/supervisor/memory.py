"""Memory accounting of models: free bytes, and bytes held by a model's process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Usage(NamedTuple):
    """Bytes of one model: its entitlement, and how much of that it already holds.

    Pages of the model file are not held: the system counts them as available, though the model
    needs them to stay.
    """

    n_entitled: int
    n_held: int

    @property
    def n_freed(self) -> int:
        """Bytes that unloading the model frees."""
        return max(self.n_entitled, self.n_held)


def free_bytes(n_available: int, n_limit: int, usages: Iterable[Usage]) -> int | None:
    """Bytes that no model holds or is entitled to; below 0 if models have too many.

    n_available: what the system would still give us, 0 = it does not say. n_limit: what all models
    together may take, 0 = as much as there is. None: nothing is known.
    """
    models = list(usages)
    free = []
    if n_available:
        free.append(n_available - sum(usage.n_freed - usage.n_held for usage in models))
    if n_limit:
        free.append(n_limit - sum(usage.n_freed for usage in models))
    return min(free, default=None)


def held_bytes(pid: int | None, proc: Path = PROC) -> int:
    """A process's memory that is not backed by a file; 0 if there is no such process."""
    if pid is None:
        return 0
    try:
        text = (proc / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == "RssAnon":
            return int(rest.split()[0]) * 1024
    return 0
