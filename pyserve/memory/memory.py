"""Opens the store when it is first needed, or says why there is none."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

from pyserve.memory.store import Store

log = logging.getLogger(__name__)


class Memory:
    """The store of this process, if there is one. Any thread.

    max_bytes: 0: nothing is stored. A directory that cannot be used is said once, in the log.
    """

    def __init__(self, directory: Path, max_bytes: int, ttl_s: float) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._is_known = max_bytes == 0

    @property
    def store(self) -> Store | None:
        with self._lock:
            if not self._is_known:
                self._is_known = True
                try:
                    self._store = Store(self._directory, self._max_bytes, self._ttl_s)
                except (OSError, sqlite3.Error) as error:
                    log.warning("responses are not stored: %s: %s", self._directory, error)
            return self._store

    def close(self) -> None:
        with self._lock:
            self._is_known = True
            if self._store is not None:
                self._store.close()
                self._store = None
