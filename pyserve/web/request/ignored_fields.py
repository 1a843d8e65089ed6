"""`X-Ignored-Fields`: tells the client, and now and then the log, which fields had no effect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from pyserve.schemas.validate import UnknownParameterError
from pyserve.web.request.notes import notes

LOG_EVERY_S = 60.0
MAX_SHOWN = 16
MAX_SHOWN_CHARS = 100

log = logging.getLogger(__name__)


class Seldom:
    """Says yes at most once in `every_s` seconds. Any thread."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._next_s = float("-inf")

    def __call__(self) -> bool:
        with self._lock:
            now_s = self._clock()
            if now_s < self._next_s:
                return False
            self._next_s = now_s + self._every_s
            return True


may_log = Seldom(LOG_EVERY_S)


def tell_ignored(paths: Sequence[str], *, refuse: bool = False) -> None:
    """Name fields of the current request that have no effect, at most `MAX_SHOWN` of them.

    Raises UnknownParameterError for the first one if they are to be refused.
    """
    if not paths:
        return
    shown = [shown_path(path) for path in paths[:MAX_SHOWN]]
    if refuse:
        message = f"{shown[0]} is not known to this server, which refuses such fields"
        raise UnknownParameterError(message, param=shown[0])
    notes().ignored += shown
    if may_log():
        log.warning(
            "fields of a request have no effect: %s (said at most once a minute)", ", ".join(shown)
        )


def shown_path(path: str) -> str:
    """A client's name of a field as a header can have it."""
    return quote(path[:MAX_SHOWN_CHARS], safe=" $/:@+=;()[]{}!#&'*")[:MAX_SHOWN_CHARS]
