"""Opens the stores when they are first needed, or says why there are none."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pyserve.memory.batches import Archive
from pyserve.memory.files import NAME as FILES_NAME
from pyserve.memory.pulls import Pulls
from pyserve.memory.store import NAME as RESPONSES_NAME
from pyserve.memory.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoryLimits:
    """max_bytes: 0: nothing is stored. ttl_s: what was not used for so long is gone; of files:
    after so long each."""

    max_bytes: int = 0
    ttl_s: float = 0.0
    max_file_bytes: int = 0
    file_ttl_s: float = 0.0


class _Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class Memory:
    """The stores of this process, if there are any. Any thread.

    A directory that cannot be used is said once, in the log.
    """

    def __init__(self, directory: Path, limits: MemoryLimits) -> None:
        self._directory = directory
        self._store = _Lazy(
            "responses",
            lambda: Store(directory, limits.max_bytes, limits.ttl_s),
            is_wanted=limits.max_bytes > 0,
        )
        self._archive = _Lazy(
            "files",
            lambda: Archive(directory, limits.max_file_bytes, limits.file_ttl_s),
            is_wanted=limits.max_file_bytes > 0,
        )
        self._pulls = _Lazy("pulls", lambda: Pulls(directory), is_wanted=True)

    @property
    def store(self) -> Store | None:
        return self._store.get()

    @property
    def archive(self) -> Archive | None:
        """Files and batches."""
        return self._archive.get()

    @property
    def has_archive(self) -> bool:
        """Whether files were ever stored."""
        return (self._directory / FILES_NAME).exists()

    def sweep(self) -> None:
        """Delete what has expired, though nobody stores anything. Raises OSError, sqlite3.Error."""
        has_store = (self._directory / RESPONSES_NAME).exists()
        store, archive = (
            self.store if has_store else None,
            self.archive if self.has_archive else None,
        )
        if store is not None:
            store.sweep()
        if archive is not None:
            archive.files.sweep()

    @property
    def pulls(self) -> Pulls | None:
        return self._pulls.get()

    def close(self) -> None:
        self._store.close()
        self._archive.close()
        self._pulls.close()


class _Lazy(Generic[T]):
    def __init__(self, what: str, make: Callable[[], T], *, is_wanted: bool) -> None:
        self._what = what
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None
        self._is_known = not is_wanted

    def get(self) -> T | None:
        with self._lock:
            if not self._is_known:
                self._is_known = True
                try:
                    self._made = self._make()
                except (OSError, sqlite3.Error) as error:
                    log.warning("%s are not stored: %s", self._what, error)
            return self._made

    def close(self) -> None:
        with self._lock:
            self._is_known = True
            if self._made is not None:
                self._made.close()
                self._made = None
