"""`GET /responses/{id}?stream=true`: the events of a background response, then those to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pyserve.memory.records import RUNNING, Events
from pyserve.memory.store import Store
from pyserve.web.answer.sse import DONE, KEEP_ALIVE
from pyserve.web.request.disconnect import ClientGoneError

POLL_S = 0.05
FRAME_END = b"\n\n"


def replayed(
    store: Store,
    response_id: str,
    after: int,
    check: Callable[[], None],
    keep_alive_s: float,
) -> Iterator[bytes]:
    """The frames of the events with a number above `after`, until the response has ended.

    check: raises ClientGoneError when nobody reads any more. Needs no Flask context.
    """
    said_at = time.monotonic()
    while True:
        status = store.status(response_id)  # before the events: the last come with its end
        found = store.events(response_id, after)
        for events in found:
            yield _frames(events, after)
            after = events.last
            said_at = time.monotonic()
        if status not in RUNNING:
            yield DONE
            return
        if found:
            continue
        try:
            check()
        except ClientGoneError:
            return
        if time.monotonic() - said_at >= keep_alive_s:
            yield KEEP_ALIVE
            said_at = time.monotonic()
        time.sleep(POLL_S)


def _frames(events: Events, after: int) -> bytes:
    """The events above `after`."""
    n_known = max(after + 1 - events.first, 0)
    frames = events.data.split(FRAME_END)[n_known:]
    return FRAME_END.join(frames)
