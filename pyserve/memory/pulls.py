"""Models that are got for somebody: how far each is, for all processes of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from pyserve.errors import ErrorInfo
from pyserve.memory.database import Database
from pyserve.memory.owner import Owner

NAME = "pulls.sqlite"
MAX_KEPT = 100
STOPPED = "the server was stopped; asked for again, the model is got from where it was"
TABLES = """
CREATE TABLE IF NOT EXISTS pulls (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, model TEXT NOT NULL,
    owner TEXT NOT NULL, is_over INTEGER NOT NULL, is_cancelled INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL);
"""

PullStatus = Literal["running", "finished", "failed", "cancelled"]


class FileShare(msgspec.Struct, frozen=True):
    """Bytes of a file that are here, and all of them; null: not known."""

    done: int
    total: int | None


class PullState(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is got. model: as it was asked for. created: Unix seconds.

    message: what is done now. files: by their names. served: the id under which it is served then.
    """

    id: str
    model: str
    created: float
    status: PullStatus = "running"
    message: str = ""
    files: dict[str, FileShare] = {}
    error: ErrorInfo | None = None
    served: str | None = None


class Pulls:
    """What several processes keep together. Any thread.

    One of a process that has died has failed. Raises OSError or sqlite3.Error.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory, NAME, TABLES)
        self._owner = Owner(directory)

    def add(self, state: PullState) -> None:
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO pulls (id, model, owner, is_over, body) VALUES (?, ?, ?, 0, ?)",
                (state.id, state.model, self._owner.name, msgspec.json.encode(state)),
            )
            db.execute(
                "DELETE FROM pulls WHERE number NOT IN"
                " (SELECT number FROM pulls ORDER BY number DESC LIMIT ?)",
                (MAX_KEPT,),
            )

    def update(self, state: PullState) -> None:
        with self._database.writing() as db:
            db.execute(
                "UPDATE pulls SET body = ?, is_over = ? WHERE id = ?",
                (msgspec.json.encode(state), state.status != "running", state.id),
            )

    def get(self, pull_id: str) -> PullState | None:
        return next((each for each in self.page() if each.id == pull_id), None)

    def running(self, model: str) -> PullState | None:
        """That of a model which is asked for by this name."""
        found = (each for each in self.page() if each.model == model)
        return next((each for each in found if each.status == "running"), None)

    def page(self) -> list[PullState]:
        """The last MAX_KEPT, the newest first."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT body, owner, is_over FROM pulls ORDER BY number DESC"
            ).fetchall()
        return [self._shown(*row) for row in rows]

    def cancel(self, pull_id: str) -> None:
        """Have it end, if it is not over."""
        with self._database.writing() as db:
            db.execute("UPDATE pulls SET is_cancelled = 1 WHERE id = ?", (pull_id,))

    def is_cancelled(self, pull_id: str) -> bool:
        with self._database.reading() as db:
            row = db.execute("SELECT is_cancelled FROM pulls WHERE id = ?", (pull_id,)).fetchone()
        return row is None or bool(row[0])

    def close(self) -> None:
        self._owner.close()
        self._database.close()

    def _shown(self, body: bytes, owner: str, is_over: int) -> PullState:
        state = msgspec.json.decode(body, type=PullState)
        if is_over or self._owner.is_alive(owner):
            return state
        error = ErrorInfo(code="server_stopped", message=STOPPED)
        return msgspec.structs.replace(state, status="failed", message=STOPPED, error=error)
