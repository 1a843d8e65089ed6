"""Which front a request belongs to: the core's request ids against each front's own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from pyserve.engine.protocol import Event, Failed, Step
from pyserve.errors import InvalidRequestError

F = TypeVar("F")


class RouteTable(Generic[F]):
    """The unfinished requests of all fronts (any hashable). Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._core_ids = itertools.count(1)
        self._routes: dict[int, tuple[F, int]] = {}
        self._by_front: dict[F, dict[int, int]] = {}

    def add_front(self, front: F) -> None:
        with self._lock:
            self._by_front[front] = {}

    def drop_front(self, front: F) -> list[int]:
        """Forget a front; returns the core ids of its unfinished requests."""
        with self._lock:
            core_ids = list(self._by_front.pop(front, {}).values())
            for core_id in core_ids:
                del self._routes[core_id]
            return core_ids

    def open(self, front: F, front_id: int) -> int:
        """A fresh core id for a front's request.

        Raises InvalidRequestError if the id is in use, KeyError for an unknown front.
        """
        with self._lock:
            ids = self._by_front[front]
            if front_id in ids:
                raise InvalidRequestError(f"request id {front_id} is in use")
            core_id = next(self._core_ids)
            self._routes[core_id] = (front, front_id)
            ids[front_id] = core_id
            return core_id

    def find(self, front: F, front_id: int) -> int | None:
        """The core id of a front's request; None if it is unknown or finished."""
        with self._lock:
            return self._by_front.get(front, {}).get(front_id)

    def close(self, core_id: int) -> None:
        """Forget a request; unknown ids are ignored."""
        with self._lock:
            self._close(core_id)

    def split(self, events: Iterable[Event]) -> dict[F, list[Event]]:
        """Events by front, in order, under the front's ids. Forgets requests that end in them."""
        by_front: dict[F, list[Event]] = {}
        with self._lock:
            for event in events:
                route = self._routes.get(event.request_id)
                if route is None:
                    continue
                front, front_id = route
                if is_last(event):
                    self._close(event.request_id)
                renamed = msgspec.structs.replace(event, request_id=front_id)
                by_front.setdefault(front, []).append(renamed)
        return by_front

    def _close(self, core_id: int) -> None:
        route = self._routes.pop(core_id, None)
        if route is not None:
            front, front_id = route
            self._by_front[front].pop(front_id, None)


def is_last(event: Event) -> bool:
    """Whether a request ends with this event."""
    return isinstance(event, Failed) or (isinstance(event, Step) and event.delta.finish is not None)
