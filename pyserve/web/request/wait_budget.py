"""`X-Request-Timeout`: the time that a client waits for work on its request to begin.

5          a request that still waits after 5 seconds fails
5; whole   an answer ends then, too, where it is
"""

from __future__ import annotations

import math
import time

from flask import request

from pyserve.errors import InvalidRequestError

HEADER = "X-Request-Timeout"
MAX_TIMEOUT_S = 86_400.0
MAX_CHARS = 32
WHOLE = "whole"


class Patience:
    """Counts down from the moment it is made. timeout_s: None waits for ever.

    is_whole: the time is that of the whole answer.
    """

    def __init__(self, timeout_s: float | None, *, is_whole: bool = False) -> None:
        self.is_whole = is_whole
        self._end = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, at least 0; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def left_ms(self) -> float | None:
        """The same in milliseconds, at least 1: for the engine 0 is no limit."""
        return None if self.left_s is None else max(1.0, 1000 * self.left_s)

    def at_most(self, wait_s: float) -> float:
        """The shorter of `wait_s` and the time that is left."""
        left_s = self.left_s
        return wait_s if left_s is None else min(wait_s, left_s)


def request_patience() -> Patience:
    """The patience in the current request's header. Raises InvalidRequestError for a bad value."""
    text = request.headers.get(HEADER)
    if text is None:
        return Patience(None)
    number, separator, scope = text[:MAX_CHARS].partition(";")
    is_whole = scope.strip().lower() == WHOLE
    try:
        timeout_s = float(number)
    except ValueError:
        timeout_s = math.nan
    is_short = len(text) <= MAX_CHARS and text.isascii()
    if not (0 < timeout_s <= MAX_TIMEOUT_S and is_short and is_whole == bool(separator)):
        message = (
            f"{HEADER} must be a number of seconds over 0, at most {MAX_TIMEOUT_S:.0f},"
            " and may end with '; whole'"
        )
        raise InvalidRequestError(message, param=HEADER)
    return Patience(timeout_s, is_whole=is_whole)
