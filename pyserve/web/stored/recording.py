"""Stores a response: when it is announced, and when it ends."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from pyserve.memory.records import Events, Stored
from pyserve.memory.store import Store
from pyserve.openai.responses.events import ResponseEvent, Track, failure
from pyserve.openai.responses.objects import Response
from pyserve.openai.responses.responses import failed_response
from pyserve.openai.responses.stored_items import output_items
from pyserve.web.answer.sse import typed_frames
from pyserve.web.stored.recall import Recalled

FLUSH_S = 0.1  # so long events of a background response may wait until they are stored

log = logging.getLogger(__name__)


def stored_of(recalled: Recalled, response: Response, *, has_events: bool) -> Stored:
    """A response as a record of the store."""
    return Stored(
        id=response.id,
        kind="response",
        tenant=recalled.tenant,
        created=response.created_at,
        body=msgspec.json.encode(response),
        status=response.status,
        previous=recalled.body.previous_response_id,
        conversation=recalled.body.conversation_id or None,
        has_events=has_events,
    )


def foreground_track(recalled: Recalled) -> Track:
    """Stores a response when it ends. A store that fails costs the memory, not the answer."""
    store = recalled.store
    if store is None:
        return Track()

    def on_end(response: Response) -> None:
        running = msgspec.structs.replace(response, status="in_progress")
        try:
            store.add(stored_of(recalled, running, has_events=False), recalled.own)
            body, items = msgspec.json.encode(response), output_items(response.output)
            store.change(response.id, response.status, body, items)
        except sqlite3.Error:
            log.exception("response %s is not stored", response.id)

    return Track(on_end=on_end)


class BackgroundRecording:
    """A response that runs in the background: its events as they come, and its end.

    `begin` is called in the request's thread, the rest in one other.
    """

    def __init__(self, recalled: Recalled, head: Response) -> None:
        assert recalled.store is not None
        self._store: Store = recalled.store
        self._recalled = recalled
        self.head = head
        self._n_events = 0
        self._first = 0
        self._waiting: list[bytes] = []
        self._flushed_at = 0.0
        self._ended: Response | None = None

    def begin(self) -> None:
        """Store it as queued, with its first event."""
        stored = stored_of(self._recalled, self.head, has_events=True)
        self._store.add(stored, self._recalled.own)
        self.add([ResponseEvent("response.queued", 0, self.head)])

    def track(self) -> Track:
        return Track(self.head, self._n_events, self._end)

    def start(self, opening: list[Any]) -> None:
        """It is being worked on. opening: the events that tell it, of which each has its state."""
        body = msgspec.json.encode(opening[0].response)
        self._store.change(self.head.id, "in_progress", body)
        self.add(opening)

    def add(self, events: list[Any]) -> None:
        """Store events, some of them a little later. What ended the response is stored with it."""
        self._waiting.append(typed_frames(events))
        self._n_events += len(events)
        if self._ended is not None or time.monotonic() - self._flushed_at >= FLUSH_S:
            self.flush()

    def fail(self, error: Mapping[str, Any]) -> None:
        """End it by an error that came before it had an answer."""
        self._ended = failed_response(self.head, error)
        self.add(failure(self.head, error, self._n_events))

    def flush(self) -> None:
        data = b"".join(self._waiting)
        events = Events(self._first, self._n_events - 1, data) if data else None
        self._waiting, self._first = [], self._n_events
        self._flushed_at = time.monotonic()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            body, items = msgspec.json.encode(ended), output_items(ended.output)
            self._store.change(ended.id, ended.status, body, items, events)
        elif events is not None:
            self._store.add_events(self.head.id, events)

    def is_wanted(self) -> bool:
        """Whether it was neither cancelled nor deleted."""
        return self._store.status(self.head.id) in ("queued", "in_progress")

    def _end(self, response: Response) -> None:
        self._ended = response
