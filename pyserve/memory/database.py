"""A SQLite file that several processes have open: one connection for each of them."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_S = 10.0
MAX_LOG_BYTES = 4 << 20  # of SQLite's log of writes, once they are in the file
VERSION = 1


class Database:
    """One file, which several processes may have open. Any thread.

    Only its owner may read it. tables: made where they are not there yet. Raises OSError or
    sqlite3.Error if it cannot be used.
    """

    def __init__(self, directory: Path, name: str, tables: str) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / name
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA auto_vacuum = FULL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA secure_delete = ON")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise OSError(f"{path} was written by another version of pyserve")
        self._connection.executescript(f"BEGIN IMMEDIATE; {tables} COMMIT;")
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that see one state each."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, which is undone when the block raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._connection.close()
