"""Requests for many answers, which share what of an engine one such request may take."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from pyserve.process.once import once


class Lists:
    """Counts those in work in this process, by model. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n: Counter[str] = Counter()

    def enter(self, model_id: str) -> Callable[[], None]:
        """Count one more; returns what ends that, and may be called twice."""
        self._add(model_id, 1)
        return once(lambda: self._add(model_id, -1))

    def share(self, model_id: str, n_most: int) -> int:
        """How many of `n_most` answers at once are one list's, at least 1."""
        with self._lock:
            return max(n_most // max(self._n[model_id], 1), 1)

    def _add(self, model_id: str, n: int) -> None:
        with self._lock:
            self._n[model_id] += n
