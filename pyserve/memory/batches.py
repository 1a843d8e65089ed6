"""Stored batches: their states, which process works on which, and how they end."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pyserve.memory.database import Database
from pyserve.memory.files import NAME, ROW_BYTES, TABLES, FileRecord, Files, insert_file
from pyserve.memory.owner import Owner

MAX_KEPT = 10_000  # of one tenant's that are over

# What their ids begin with, before `_`: those of OpenAI's API, and of Anthropic's.
Kind = Literal["batch", "msgbatch"]

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]


class BatchError(msgspec.Struct, frozen=True):
    """Why a batch has failed: one of its lines, or all of it."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is told. key: digest of the API key that it counts for, in hex; "": none.

    times: when it came to each status, in Unix seconds. output_ttl_s: of its results.
    input_file_id: "" where its input was never a file of its tenant. model: that of its lines, or
    of the first, where others name other_models. n_left: lines that failed without being asked.
    """

    id: str
    tenant: str
    key: str
    created: float
    endpoint: str
    input_file_id: str
    n_input_bytes: int = 0
    completion_window: str
    expires: float
    output_ttl_s: float
    status: Status = "validating"
    metadata: dict[str, str] | None = None
    model: str | None = None
    other_models: list[str] = []
    errors: list[BatchError] = []
    times: dict[str, float] = {}
    output_file_id: str | None = None
    error_file_id: str | None = None
    n_total: int = 0
    n_completed: int = 0
    n_failed: int = 0
    n_left: int = 0
    n_input_tokens: int = 0
    n_cached_tokens: int = 0
    n_output_tokens: int = 0
    n_reasoning_tokens: int = 0

    @property
    def is_over(self) -> bool:
        return self.status in ("failed", "completed", "expired", "cancelled")

    def is_a(self, kind: Kind) -> bool:
        return self.id.startswith(f"{kind}_")


class Batches:
    """What several processes keep together. Any thread. clock: Unix seconds.

    A batch belongs to the process that made it; when that has died, to the first that claims it.
    """

    def __init__(
        self,
        files: Files,
        database: Database,
        owner: Owner,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = files
        self._database = database
        self._owner = owner
        self._ttl_s = ttl_s
        self._clock = clock
        self.changed = threading.Event()  # there may be something to do

    def paths(self, batch_id: str) -> tuple[Path, Path, Path]:
        """Its input, its output and its errors, while it runs."""
        return (
            self._files.path(f"{batch_id}.input"),
            self._files.path(f"{batch_id}.output"),
            self._files.path(f"{batch_id}.errors"),
        )

    def add(self, state: BatchState, source: Path) -> None:
        """Keep a new one, and its input, whatever becomes of the file `source`. Raises OSError."""
        kept = self.paths(state.id)[0]
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO batches (id, tenant, created, forget, owner, is_over, n_bytes, body)"
                " VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
                (
                    state.id,
                    state.tenant,
                    state.created,
                    state.expires + self._ttl_s,
                    self._owner.name,
                    ROW_BYTES,
                    msgspec.json.encode(state),
                ),
            )
            db.execute(
                "DELETE FROM batches WHERE is_over AND tenant = ?1 AND number NOT IN (SELECT number"
                " FROM batches WHERE tenant = ?1 ORDER BY number DESC LIMIT ?2)",
                (state.tenant, MAX_KEPT),
            )
            kept.hardlink_to(source)
        self.changed.set()

    def get(self, tenant: str, batch_id: str) -> BatchState | None:
        """The batch, if it is this tenant's."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT body, cancelled FROM batches WHERE id = ? AND tenant = ?",
                (batch_id, tenant),
            ).fetchone()
        return None if row is None else _shown(*row)

    def page(
        self,
        tenant: str,
        kind: Kind,
        n_max: int,
        *,
        after: str | None = None,
        before: str | None = None,
    ) -> tuple[list[BatchState], bool]:
        """At most `n_max` of a kind, the newest first, and whether there are more.

        They are those next to the one of id `after`, and older; or `before`, and newer.
        """
        order, sign = ("DESC", "<") if before is None else ("ASC", ">")
        edge = after if before is None else before
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT body, cancelled FROM batches WHERE tenant = ?1 AND id GLOB ?2 || '_*' AND"
                f" (?3 IS NULL OR number {sign}"
                " (SELECT number FROM batches WHERE id = ?3 AND tenant = ?1))"
                f" ORDER BY number {order} LIMIT ?4",
                (tenant, kind, edge, n_max + 1),
            ).fetchall()
        found = [_shown(*row) for row in rows[:n_max]]
        return found if before is None else found[::-1], len(rows) > n_max

    def n_running(self, tenant: str) -> int:
        """How many of the tenant's are not over."""
        with self._database.reading() as db:
            (n,) = db.execute(
                "SELECT count(*) FROM batches WHERE tenant = ? AND NOT is_over", (tenant,)
            ).fetchone()
        return int(n)

    def cancel(self, tenant: str, batch_id: str) -> None:
        """Have it end, if it is not over."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE batches SET cancelled = ? WHERE id = ? AND tenant = ? AND NOT is_over"
                " AND cancelled IS NULL",
                (self._clock(), batch_id, tenant),
            )
        self.changed.set()

    def delete(self, tenant: str, batch_id: str) -> None:
        """Forget one that is over, and its results."""
        state = self.get(tenant, batch_id)
        if state is None or not state.is_over:
            return
        for file_id in (state.output_file_id, state.error_file_id):
            if file_id is not None:
                self._files.delete(tenant, file_id)
        with self._database.writing() as db:
            db.execute("DELETE FROM batches WHERE id = ? AND is_over", (batch_id,))

    # For the process that works on them

    def claim(self, may_claim: Callable[[BatchState], bool]) -> list[BatchState]:
        """All that this process has to work on, the oldest first.

        may_claim: whether it may take one of a process that has died.
        """
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT body, cancelled, owner FROM batches WHERE NOT is_over ORDER BY number"
            ).fetchall()
        found = []
        for body, cancelled, owner in rows:
            state = _shown(body, cancelled)
            if owner == self._owner.name or (
                not self._owner.is_alive(owner) and may_claim(state) and self._take(state.id, owner)
            ):
                found.append(state)
        return found

    def n_owners(self) -> int:
        """How many processes work on batches."""
        with self._database.reading() as db:
            (n,) = db.execute(
                "SELECT count(DISTINCT owner) FROM batches WHERE NOT is_over"
            ).fetchone()
        return max(int(n), 1)

    def update(self, state: BatchState, n_bytes: int) -> None:
        """Tell how far it is. n_bytes: of its results."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE batches SET body = ?, n_bytes = ? WHERE id = ? AND owner = ?"
                " AND NOT is_over",
                (msgspec.json.encode(state), ROW_BYTES + n_bytes, state.id, self._owner.name),
            )

    def reopen(self, batch_id: str) -> None:
        """Undo what `end` had done to its results when its process was killed."""
        for path in self.paths(batch_id)[1:]:
            ended = self._files.path(result_id(path))
            if ended.exists() and not path.exists():
                ended.rename(path)

    def end(self, state: BatchState, results: Sequence[tuple[FileRecord, Path]] = ()) -> None:
        """It is over, once. results: its files, of the ids of `result_id`, and where they are."""
        with self._database.writing() as db:
            found = db.execute(
                "UPDATE batches SET body = ?, is_over = 1, n_bytes = ?, forget = ?"
                " WHERE id = ? AND owner = ? AND NOT is_over",
                (
                    msgspec.json.encode(state),
                    ROW_BYTES,
                    self._clock() + self._ttl_s,
                    state.id,
                    self._owner.name,
                ),
            )
            if not found.rowcount:
                return
            for record, path in results:
                insert_file(db, record)
                path.rename(self._files.path(record.id))
        for path in self.paths(state.id):
            path.unlink(missing_ok=True)

    def _take(self, batch_id: str, owner: str) -> bool:
        with self._database.writing() as db:
            found = db.execute(
                "UPDATE batches SET owner = ? WHERE id = ? AND owner = ? AND NOT is_over",
                (self._owner.name, batch_id, owner),
            )
        return found.rowcount > 0


class Archive:
    """Files and batches of one directory. Raises OSError or sqlite3.Error if it cannot be used."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(directory, NAME, TABLES)
        self._owner = Owner(directory)
        self.ttl_s = ttl_s
        self.clock = clock
        self.files = Files(directory / "files", self._database, self._owner, max_bytes, clock)
        self.batches = Batches(self.files, self._database, self._owner, ttl_s, clock)

    def close(self) -> None:
        self._owner.close()
        self._database.close()


def result_id(path: Path) -> str:
    """The id of the file that the results at `path` become: the same whenever it is asked."""
    return f"file-{hashlib.sha256(path.name.encode()).hexdigest()[:24]}"


def _shown(body: bytes, cancelled: float | None) -> BatchState:
    state = msgspec.json.decode(body, type=BatchState)
    if cancelled is None:
        return state
    times = {**state.times, "cancelling": cancelled}
    status: Status = state.status if state.is_over else "cancelling"
    return msgspec.structs.replace(state, status=status, times=times)
