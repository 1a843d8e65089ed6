"""`X-Request-Timeout`: the time that a client waits for work on its request to begin."""

from __future__ import annotations

import math
import time

from flask import request

from pyserve.errors import InvalidRequestError

HEADER = "X-Request-Timeout"
MAX_TIMEOUT_S = 86_400.0
MAX_CHARS = 32


class Patience:
    """Counts down from the moment it is made. timeout_s: None waits for ever."""

    def __init__(self, timeout_s: float | None) -> None:
        self._end = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, at least 0; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def at_most(self, wait_s: float) -> float:
        """The shorter of `wait_s` and the time that is left."""
        left_s = self.left_s
        return wait_s if left_s is None else min(wait_s, left_s)


def request_patience() -> Patience:
    """The patience in the current request's header. Raises InvalidRequestError for a bad value."""
    text = request.headers.get(HEADER)
    if text is None:
        return Patience(None)
    try:
        timeout_s = float(text[:MAX_CHARS])
    except ValueError:
        timeout_s = math.nan
    if not (0 < timeout_s <= MAX_TIMEOUT_S and len(text) <= MAX_CHARS and text.isascii()):
        message = f"{HEADER} must be a number of seconds over 0, at most {MAX_TIMEOUT_S:.0f}"
        raise InvalidRequestError(message, param=HEADER)
    return Patience(timeout_s)
