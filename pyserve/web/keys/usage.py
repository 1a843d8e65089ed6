"""Used tokens by hour, API key and model, in an SQLite file that all front workers write to."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

HOUR_S = 3600
FLUSH_S = 5.0  # what a killed worker forgets at most
WAIT_S = 5.0  # for another worker's writing
TABLE = """
create table if not exists usage (
    hour_s integer not null, key text not null, model text not null,
    requests integer not null, prompt integer not null, cached integer not null,
    completion integer not null, primary key (hour_s, key, model)) without rowid
"""
ADD = """
insert into usage values (?, ?, ?, ?, ?, ?, ?) on conflict do update set
    requests = requests + excluded.requests, prompt = prompt + excluded.prompt,
    cached = cached + excluded.cached, completion = completion + excluded.completion
"""
READ = "select * from usage where hour_s >= ? and hour_s < ? order by hour_s, key, model"

log = logging.getLogger(__name__)


def since_1970() -> float:
    """Seconds, by the clock of the calendar."""
    return time.time()  # noqa: TID251  # hours of the calendar are meant


class Counts(NamedTuple):
    """Requests, and their tokens."""

    n_requests: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_completion_tokens: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))


class Row(NamedTuple):
    """The usage of one key and model in the hour that begins at `hour_s`, seconds since 1970.

    key: its name, "" without keys.
    """

    hour_s: int
    key: str
    model: str
    counts: Counts


class Usage:
    """What this process has counted, and what all have written. Any thread.

    path: the file; None: this process alone, in memory. clock: seconds since 1970.
    Only `read`, `flush` and the thread of `start` wait for the file.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = since_1970) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._fresh: dict[tuple[int, str, str], Counts] = {}
        self._has_failed = False

    def start(self) -> None:
        """Write regularly from now on; the thread ends with the process."""
        threading.Thread(target=self._run, name="usage", daemon=True).start()

    def add(self, key: str, model: str, counts: Counts) -> None:
        """Count one request. Never waits."""
        now_s = int(self._clock())
        place = (now_s - now_s % HOUR_S, key, model)
        with self._lock:
            self._fresh[place] = self._fresh.get(place, Counts()).plus(counts)

    def read(self, begin_s: float, end_s: float) -> list[Row]:
        """The hours that begin in this time, in order. Other workers' last seconds may be missing.

        Raises OSError or sqlite3.Error when the file cannot be used.
        """
        if self._path is None:
            with self._lock:
                fresh = sorted(self._fresh.items())
            rows = [Row(hour, key, model, counts) for (hour, key, model), counts in fresh]
            return [row for row in rows if begin_s <= row.hour_s < end_s]
        self._write()
        with self._opened() as connection:
            found = connection.execute(READ, (begin_s, end_s)).fetchall()
        return [Row(hour, key, model, Counts(*counts)) for hour, key, model, *counts in found]

    def flush(self) -> None:
        """Write what was counted; a failure is logged, and tried again by the next one."""
        try:
            self._write()
            self._has_failed = False
        except (OSError, sqlite3.Error) as error:
            if not self._has_failed:
                log.warning("usage cannot be written to %s: %s", self._path, error)
            self._has_failed = True

    def _write(self) -> None:
        if self._path is None:
            return
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            with self._opened() as connection, connection:
                connection.executemany(ADD, [(*at, *counts) for at, counts in fresh.items()])
        except BaseException:
            with self._lock:
                for place, counts in fresh.items():
                    self._fresh[place] = self._fresh.get(place, Counts()).plus(counts)
            raise

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        path = (self._path or Path()).expanduser()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # keys have names
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
            connection.execute(TABLE)
            yield connection

    def _run(self) -> None:
        while True:
            time.sleep(FLUSH_S)
            self.flush()
