"""Stored responses and conversations, bounded in bytes and time, apart by tenant."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pyserve.memory.database import Database
from pyserve.memory.owner import Owner
from pyserve.memory.records import RUNNING, Events, Item, Kind, Page, Side, Stored

NAME = "responses.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, tenant TEXT NOT NULL, created REAL NOT NULL,
    used REAL NOT NULL, n_bytes INTEGER NOT NULL, status TEXT NOT NULL, owner TEXT NOT NULL,
    previous TEXT, conversation TEXT, has_events INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS objects_by_use ON objects (tenant, used, n_bytes);
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY, object TEXT NOT NULL, side TEXT NOT NULL, id TEXT NOT NULL,
    tenant TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS items_by_object ON items (object, number);
CREATE INDEX IF NOT EXISTS items_by_id ON items (tenant, id);
CREATE TABLE IF NOT EXISTS events (
    object TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (object, first));
CREATE TRIGGER IF NOT EXISTS forget AFTER DELETE ON objects BEGIN
    DELETE FROM items WHERE object = old.id;
    DELETE FROM events WHERE object = old.id;
END;
"""
ROW_BYTES = 256  # of a row beside its data
FAILURE = {
    "code": "server_error",
    "message": "the server was stopped while it worked on this response",
    "type": "unavailable_error",
    "param": None,
}
_COLUMNS = "id, kind, tenant, created, body, status, previous, conversation, has_events, owner"
_IS_RUNNING = f"status IN ({', '.join(repr(status) for status in sorted(RUNNING))})"


class Store:
    """What several front workers remember together. Any thread.

    max_bytes: of all data; when it is more, the tenant with the most loses what it has not used for
    the longest time. ttl_s: what was not used for so long is gone, but for what still runs. clock:
    Unix seconds.
    """

    def __init__(
        self, directory: Path, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = Database(directory, NAME, TABLES)
        self._owner = Owner(directory)
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._fail_abandoned()

    def now_s(self) -> float:
        """Unix seconds."""
        return self._clock()

    # Objects

    def add(self, stored: Stored, items: Sequence[Item] = ()) -> None:
        """Store a new object with the items that are its input."""
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stored.id,
                    stored.kind,
                    stored.tenant,
                    stored.created,
                    self._clock(),
                    ROW_BYTES + len(stored.body),
                    stored.status,
                    self._owner.name,
                    stored.previous,
                    stored.conversation,
                    stored.has_events,
                    stored.body,
                ),
            )
            self._append(db, stored.id, stored.tenant, "input", items)
            self._trim(db)

    def get(self, tenant: str, kind: Kind, object_id: str) -> Stored | None:
        """The object, if it is this tenant's. A response whose process has died has failed."""
        with self._database.reading() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE id = ? AND kind = ? AND tenant = ?"
                f" AND (used > ? OR {_IS_RUNNING})",
                (object_id, kind, tenant, self._clock() - self._ttl_s),
            ).fetchone()
        if row is None:
            return None
        stored, owner = _stored(row), row[-1]
        if stored.is_running and not self._owner.is_alive(owner):
            body = {**msgspec.json.decode(stored.body), "status": "failed", "error": FAILURE}
            self.change(stored.id, "failed", msgspec.json.encode(body))
            return self.get(tenant, kind, object_id)
        return stored

    def change(
        self,
        object_id: str,
        status: str,
        body: bytes,
        output: Sequence[Item] = (),
        events: Events | None = None,
    ) -> bool:
        """Change a running response; whether it was still running.

        status: also a running one. output: its items. events: the last ones. At its end its items
        are appended to its conversation.
        """
        with self._database.writing() as db:
            row = db.execute(
                "UPDATE objects SET status = ?, body = ?, n_bytes = n_bytes + ? - length(body),"
                f" used = ? WHERE id = ? AND {_IS_RUNNING} RETURNING tenant, conversation",
                (status, body, len(body), self._clock(), object_id),
            ).fetchone()
            if row is None:
                return False
            tenant, conversation = row
            if events is not None:
                self._add_events(db, object_id, events)
            self._append(db, object_id, tenant, "output", output)
            if conversation is not None and status in ("completed", "incomplete"):
                self._append_turn(db, object_id, tenant, conversation)
            self._trim(db)
        return True

    def replace_body(self, tenant: str, object_id: str, body: bytes) -> None:
        """Change the metadata of a conversation."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE objects SET body = ?, used = ?, n_bytes = n_bytes + ? - length(body)"
                " WHERE id = ? AND tenant = ?",
                (body, self._clock(), len(body), object_id, tenant),
            )

    def delete(self, tenant: str, kind: Kind, object_id: str) -> bool:
        """Wipe an object and all that belongs to it; whether there was one."""
        with self._database.writing() as db:
            where = "id = ? AND kind = ? AND tenant = ?"
            deleted = db.execute(f"DELETE FROM objects WHERE {where}", (object_id, kind, tenant))
            return deleted.rowcount > 0

    def status(self, object_id: str) -> str | None:
        """The status of a response; None: it is gone."""
        with self._database.reading() as db:
            row = db.execute("SELECT status FROM objects WHERE id = ?", (object_id,)).fetchone()
        return None if row is None else str(row[0])

    def chain(self, tenant: str, response_id: str, n_max: int) -> list[Stored] | None:
        """A response and all that it continues, from the first; None if one is gone, or too many.

        All of them count as used now.
        """
        found: list[Stored] = []
        wanted: str | None = response_id
        while wanted is not None:
            stored = self.get(tenant, "response", wanted)
            if stored is None or len(found) >= n_max:
                return None
            found.append(stored)
            wanted = stored.previous
        self.use([stored.id for stored in found])
        return found[::-1]

    def use(self, object_ids: Sequence[str]) -> None:
        """Count objects as used now."""
        with self._database.writing() as db:
            pairs = [(self._clock(), object_id) for object_id in object_ids]
            db.executemany("UPDATE objects SET used = ? WHERE id = ?", pairs)

    # Items

    def items(self, tenant: str, object_id: str, side: Side | None = None) -> list[dict[str, Any]]:
        """The items of an object in their order; of one side or of both."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT data FROM items WHERE object = ? AND tenant = ? AND side LIKE ?"
                " ORDER BY number",
                (object_id, tenant, side or "%"),
            ).fetchall()
        return [msgspec.json.decode(data) for (data,) in rows]

    def page(
        self,
        tenant: str,
        object_id: str,
        n_max: int,
        *,
        is_ascending: bool,
        after: str | None = None,
        side: Side | None = None,
    ) -> Page:
        """At most `n_max` items, those that follow the item of id `after` in this order."""
        order, sign = ("ASC", ">") if is_ascending else ("DESC", "<")
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT data FROM items WHERE object = ?1 AND tenant = ?2 AND side LIKE ?3"
                f" AND (?4 IS NULL OR number {sign}"
                " (SELECT number FROM items WHERE object = ?1 AND id = ?4))"
                f" ORDER BY number {order} LIMIT ?5",
                (object_id, tenant, side or "%", after, n_max + 1),
            ).fetchall()
        items = [msgspec.json.decode(data) for (data,) in rows]
        return Page(items[:n_max], len(items) > n_max)

    def item(
        self, tenant: str, item_id: str, object_id: str | None = None
    ) -> dict[str, Any] | None:
        """A stored item by its id; of one object, or of any."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT i.data FROM items i JOIN objects o ON o.id = i.object"
                " WHERE i.tenant = ? AND i.id = ? AND (?3 IS NULL OR i.object = ?3) AND o.used > ?"
                " ORDER BY i.number DESC LIMIT 1",
                (tenant, item_id, object_id, self._clock() - self._ttl_s),
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def append(self, tenant: str, object_id: str, items: Sequence[Item]) -> None:
        """Append items to a conversation."""
        with self._database.writing() as db:
            self._append(db, object_id, tenant, "input", items)
            db.execute("UPDATE objects SET used = ? WHERE id = ?", (self._clock(), object_id))
            self._trim(db)

    def delete_item(self, tenant: str, object_id: str, item_id: str) -> bool:
        """Delete an item of a conversation; whether there was one."""
        with self._database.writing() as db:
            row = db.execute(
                "DELETE FROM items WHERE object = ? AND tenant = ? AND id = ?"
                " RETURNING length(data)",
                (object_id, tenant, item_id),
            ).fetchone()
            if row is not None:
                n_bytes = ROW_BYTES + row[0]
                db.execute(
                    "UPDATE objects SET n_bytes = n_bytes - ? WHERE id = ?", (n_bytes, object_id)
                )
        return row is not None

    # Events

    def add_events(self, object_id: str, events: Events) -> None:
        """Keep events of a running response."""
        with self._database.writing() as db:
            self._add_events(db, object_id, events)

    def events(self, object_id: str, after: int) -> list[Events]:
        """The events with a number above `after`, in their order; the first may begin before."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT first, last, data FROM events WHERE object = ? AND last > ? ORDER BY first",
                (object_id, after),
            ).fetchall()
        return [Events(*row) for row in rows]

    def sweep(self) -> None:
        """Delete what has expired; whoever adds does it as well."""
        with self._database.writing() as db:
            self._trim(db)

    def close(self) -> None:
        self._owner.close()
        self._database.close()

    def _fail_abandoned(self) -> None:
        """End what was running in processes that have died."""
        with self._database.reading() as db:
            rows = db.execute(f"SELECT tenant, id FROM objects WHERE {_IS_RUNNING}").fetchall()
        for tenant, object_id in rows:
            self.get(tenant, "response", object_id)

    def _append(
        self,
        db: sqlite3.Connection,
        object_id: str,
        tenant: str,
        side: Side,
        items: Sequence[Item],
    ) -> None:
        rows = [
            (object_id, side, str(item["id"]), tenant, msgspec.json.encode(item)) for item in items
        ]
        db.executemany(
            "INSERT INTO items (object, side, id, tenant, data) VALUES (?, ?, ?, ?, ?)", rows
        )
        n_bytes = sum(ROW_BYTES + len(row[-1]) for row in rows)
        db.execute("UPDATE objects SET n_bytes = n_bytes + ? WHERE id = ?", (n_bytes, object_id))

    def _append_turn(
        self, db: sqlite3.Connection, object_id: str, tenant: str, conversation: str
    ) -> None:
        """Append all items of a response to its conversation, unless that is gone."""
        found = db.execute(
            "UPDATE objects SET used = ? WHERE id = ? AND tenant = ?",
            (self._clock(), conversation, tenant),
        )
        if found.rowcount:
            data = db.execute(
                "SELECT data FROM items WHERE object = ? ORDER BY number", (object_id,)
            ).fetchall()
            items = [msgspec.json.decode(each) for (each,) in data]
            self._append(db, conversation, tenant, "input", items)

    def _add_events(self, db: sqlite3.Connection, object_id: str, events: Events) -> None:
        n_bytes = ROW_BYTES + len(events.data)
        found = db.execute(
            "UPDATE objects SET n_bytes = n_bytes + ? WHERE id = ?", (n_bytes, object_id)
        )
        if found.rowcount:
            row = (object_id, events.first, events.last, events.data)
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", row)

    def _trim(self, db: sqlite3.Connection) -> None:
        """Delete what has expired, and what is too much; never what runs."""
        expired = self._clock() - self._ttl_s
        db.execute(f"DELETE FROM objects WHERE used <= ? AND NOT {_IS_RUNNING}", (expired,))
        while True:
            totals = db.execute(
                "SELECT tenant, sum(n_bytes) FROM objects GROUP BY tenant ORDER BY 2 DESC"
            ).fetchall()
            if sum(n_bytes for _, n_bytes in totals) <= self._max_bytes:
                return
            deleted = db.execute(
                "DELETE FROM objects WHERE id = (SELECT id FROM objects WHERE tenant = ?"
                f" AND NOT {_IS_RUNNING} ORDER BY used LIMIT 1)",
                (totals[0][0],),
            )
            if not deleted.rowcount:
                return


def _stored(row: Sequence[Any]) -> Stored:
    names = _COLUMNS.split(", ")[:-1]
    values = dict(zip(names, row[:-1], strict=True))
    return Stored(**{**values, "has_events": bool(values["has_events"])})
