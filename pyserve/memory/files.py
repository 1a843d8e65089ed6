"""Stored files: rows of a database, and their contents beside it, bounded in bytes and time."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pyserve.errors import InvalidRequestError, UnavailableError
from pyserve.memory.database import Database
from pyserve.memory.owner import Owner

NAME = "files.sqlite"
ROW_BYTES = 512  # of a row, and of a file beside its content
PART = ".part"
ORPHAN_S = 3600.0
OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TABLES = """
CREATE TABLE IF NOT EXISTS files (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, tenant TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, purpose TEXT NOT NULL, filename TEXT NOT NULL,
    n_bytes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS files_by_tenant ON files (tenant, number);
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, tenant TEXT NOT NULL,
    created REAL NOT NULL, forget REAL NOT NULL, owner TEXT NOT NULL, is_over INTEGER NOT NULL,
    cancelled REAL, n_bytes INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_by_tenant ON batches (tenant, number);
CREATE INDEX IF NOT EXISTS batches_running ON batches (is_over, number);
"""


class StorageFullError(InvalidRequestError):
    """All stored files together would be larger than they may be."""

    code = "storage_full"


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file. tenant: whose it is. created, expires: Unix seconds."""

    id: str
    tenant: str
    created: float
    expires: float
    purpose: str
    filename: str
    n_bytes: int


class Incoming:
    """A file that arrives. Used by one thread."""

    def __init__(self, path: Path, fd: int, check: Callable[[int], None]) -> None:
        self.path = path
        self.n_bytes = 0
        self._fd = fd
        self._check = check

    def sync(self) -> None:
        """Have everything on the disk. Raises UnavailableError where it is full."""
        with full_disk():
            os.fdatasync(self._fd)

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFullError, and UnavailableError where the disk is full."""
        self._check(self.n_bytes + len(data))
        with full_disk():
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
        self.n_bytes += len(data)


@contextmanager
def full_disk() -> Iterator[None]:
    """Makes an UnavailableError of a disk without room."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not is_full(error):
            raise
        raise UnavailableError("the server's disk is full", retry_after_s=60) from error


def is_full(error: Exception) -> bool:
    """Whether it says that a disk has no room."""
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in OUT_OF_SPACE


class Files:
    """What several processes keep together. Any thread.

    max_bytes: of all files together, and of batches that run. max_share: of them one
    tenant may have. clock: Unix seconds.
    """

    def __init__(
        self,
        directory: Path,
        database: Database,
        owner: Owner,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._database = database
        self._owner = owner
        self._max_bytes = max_bytes
        self._clock = clock
        directory.mkdir(exist_ok=True, mode=0o700)
        self.sweep()

    def path(self, name: str) -> Path:
        """Where the content of that id is, or is to be."""
        return self._directory / name

    @contextmanager
    def incoming(self, tenant: str, share: float = 1.0) -> Iterator[Incoming]:
        """A new file, which is nothing until it is added. share: of all bytes for the tenant."""
        free = self._max_bytes - self.n_used()
        own = int(self._max_bytes * share) - self.n_used(tenant)

        def check(n_bytes: int) -> None:
            if n_bytes + ROW_BYTES > min(free, own):
                raise StorageFullError(
                    f"the file has more than the {max(min(free, own), 0)} bytes that are left of"
                    f" the {self._max_bytes} for all files: delete some, or let them expire",
                    param="file",
                )

        path = self.path(f"{secrets.token_hex(12)}.{self._owner.name}{PART}")
        with full_disk():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield Incoming(path, fd, check)
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)

    def add(self, record: FileRecord, incoming: Incoming) -> None:
        """Keep what has arrived."""
        incoming.sync()
        with full_disk(), self._database.writing() as db:
            insert_file(db, record)
            incoming.path.rename(self.path(record.id))

    def get(self, tenant: str, file_id: str) -> FileRecord | None:
        """The file, if it is this tenant's and has not expired."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT id, tenant, created, expires, purpose, filename, n_bytes FROM files"
                " WHERE id = ? AND tenant = ? AND expires > ?",
                (file_id, tenant, self._clock()),
            ).fetchone()
        return None if row is None else _record(row)

    def page(
        self,
        tenant: str,
        n_max: int,
        *,
        after: str | None = None,
        purpose: str | None = None,
        is_ascending: bool = False,
    ) -> tuple[list[FileRecord], bool]:
        """At most `n_max` files after the one of id `after`, and whether there are more."""
        order, sign = ("ASC", ">") if is_ascending else ("DESC", "<")
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT id, tenant, created, expires, purpose, filename, n_bytes FROM files"
                " WHERE tenant = ?1 AND expires > ?2 AND (?3 IS NULL OR purpose = ?3)"
                f" AND (?4 IS NULL OR number {sign}"
                " (SELECT number FROM files WHERE id = ?4 AND tenant = ?1))"
                f" ORDER BY number {order} LIMIT ?5",
                (tenant, self._clock(), purpose, after, n_max + 1),
            ).fetchall()
        return [_record(row) for row in rows[:n_max]], len(rows) > n_max

    def delete(self, tenant: str, file_id: str) -> bool:
        """Delete a file; whether there was one. Batches that read it go on."""
        with self._database.writing() as db:
            found = db.execute("DELETE FROM files WHERE id = ? AND tenant = ?", (file_id, tenant))
        if found.rowcount:
            self.path(file_id).unlink(missing_ok=True)
        return found.rowcount > 0

    def n_used(self, tenant: str | None = None) -> int:
        """Bytes of all files, and of batches that run; of one tenant, or of all.

        Those are their results, and their inputs where no file has them.
        """
        with self._database.reading() as db:
            (n_bytes,) = db.execute(
                f"SELECT (SELECT coalesce(sum(n_bytes + {ROW_BYTES}), 0) FROM files"
                " WHERE ?1 IS NULL OR tenant = ?1) + (SELECT coalesce(sum(n_bytes + iif(EXISTS"
                " (SELECT 1 FROM files WHERE id = text ->> 'input_file_id'), 0,"
                " coalesce(text ->> 'n_input_bytes', 0))), 0) FROM"
                " (SELECT n_bytes, CAST(body AS TEXT) AS text"
                " FROM batches WHERE NOT is_over AND (?1 IS NULL OR tenant = ?1)))",
                (tenant,),
            ).fetchone()
        return int(n_bytes)

    def has_room(self) -> bool:
        """Whether results may still be written."""
        return self.n_used() < self._max_bytes

    def sweep(self) -> None:
        """Delete what has expired, and what processes have left that were killed."""
        now = self._clock()
        with self._database.writing() as db:
            gone = db.execute("DELETE FROM files WHERE expires <= ? RETURNING id", (now,))
            ids = [file_id for (file_id,) in gone.fetchall()]
            db.execute("DELETE FROM batches WHERE is_over AND forget <= ?", (now,))
            known = {name for (name,) in db.execute("SELECT id FROM files")}
            running = {name for (name,) in db.execute("SELECT id FROM batches WHERE NOT is_over")}
        for file_id in ids:
            self.path(file_id).unlink(missing_ok=True)
        for path in self._directory.iterdir():
            name, _, rest = path.name.partition(".")
            if name in known or name in running or not self._is_orphan(path, rest):
                continue
            path.unlink(missing_ok=True)

    def _is_orphan(self, path: Path, rest: str) -> bool:
        if rest.endswith(PART):
            return not self._owner.is_alive(rest.removesuffix(PART))
        try:
            return path.stat().st_mtime < self._clock() - ORPHAN_S
        except FileNotFoundError:
            return False


def insert_file(db: sqlite3.Connection, record: FileRecord) -> None:
    db.execute(
        "INSERT INTO files (id, tenant, created, expires, purpose, filename, n_bytes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        msgspec.structs.astuple(record),
    )


def _record(row: tuple[str, str, float, float, str, str, int]) -> FileRecord:
    file_id, tenant, created, expires, purpose, filename, n_bytes = row
    return FileRecord(
        id=file_id,
        tenant=tenant,
        created=created,
        expires=expires,
        purpose=purpose,
        filename=filename,
        n_bytes=n_bytes,
    )
