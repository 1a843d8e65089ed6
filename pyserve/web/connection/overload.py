"""Overload fast path: answers 503 from the main loop, before a request gets a thread.

Under overload most requests are refused, and the CPU time of a refusal is taken from running ones.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus

from pyserve.errors import QueueFullError
from pyserve.web.connection.arrivals import is_whole
from pyserve.web.request import access_log
from pyserve.web.request.access import MAX_TOKEN_CHARS
from pyserve.web.request.errors import describe, retry_after
from pyserve.web.request.families import family_of
from pyserve.web.request.notes import fresh_id, sane_id
from pyserve.web.request.refusal import Refusal
from pyserve.web.request.services import Services

_ID = re.compile(rb"\r\nx-request-id:[ \t]*([^\r]*)\r\n", re.IGNORECASE)
_PAGE = re.compile(rb"\r\norigin:", re.IGNORECASE)  # it needs the headers of CORS
_TOKEN = re.compile(rb"\r\n(?:authorization:[ \t]*bearer|x-api-key:)[ \t]*([^\r]+)", re.IGNORECASE)

N_NAMED = 4  # refusals that are logged one by one, in so long:
REPORT_EVERY_S = 1.0


class Refusals:
    """Refuses requests, and logs them: the first few of a second singly, the others as a number.

    n_in_turn: refusals in the current turn of the main loop. Thread: the worker's main loop.
    """

    def __init__(self, parts: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self.n_in_turn = 0
        self._parts = parts
        self._clock = clock
        self._n_logged = self._n_unlogged = 0
        self._next_report_s = 0.0

    def turn_away(self, data: bytes) -> bytes | None:
        """The 503 for a request beyond `--max-streams`, as the application would answer it.

        data: the raw request. None: it has to go to the application. Other faults of the request
        are not reported. The connection is to be closed after it.
        """
        try:
            self._parts.stream_limit.check()
        except QueueFullError as error:
            line = self._parts.endpoints.request_line.match(data)
            is_ours = line is not None and is_whole(data) and not _PAGE.search(data)
            if line is None or not is_ours or not _is_known(self._parts, data):
                return None
            self.n_in_turn += 1
            return self._refuse(error, data, line[1].decode("latin-1"))
        return None

    def end_turn(self) -> bool:
        """Ends a turn of the main loop; whether requests were refused in it."""
        has_refused, self.n_in_turn = self.n_in_turn > 0, 0
        return has_refused

    def report(self, *, is_last: bool = False) -> None:
        """Log the number of refusals without a record of their own, once in a second."""
        if self._n_logged == 0 or (self._clock() < self._next_report_s and not is_last):
            return
        if self._n_unlogged:
            access_log.record_refused(self._n_unlogged)
        self._n_logged = self._n_unlogged = 0

    def _refuse(self, error: QueueFullError, data: bytes, path: str) -> bytes:
        given = _ID.search(data)
        shown_id = sane_id(given[1].decode("latin-1")) if given else fresh_id()
        is_named = self._is_named()
        status, body = describe(error, shown_id, level=logging.INFO if is_named else logging.DEBUG)
        code = body["error"]["code"]
        family = family_of(path, prefix=self._parts.config.api_prefix)
        shown_status, _ = family.errors.tell(status, body["error"], shown_id)
        self._parts.measures.count(shown_status)
        self._parts.measures.count_error(code)
        if is_named and self._parts.config.log_format == "json":
            access_log.record(shown_id, "POST", path, shown_status, code)
        refusal = Refusal(HTTPStatus(status), code, body["error"]["message"])
        return refusal.to_bytes(shown_id, retry_after(error), family)

    def _is_named(self) -> bool:
        """Whether the next refusal gets a log record of its own; counts it either way."""
        self.report()
        if self._n_logged < N_NAMED:
            if self._n_logged == 0:
                self._next_report_s = self._clock() + REPORT_EVERY_S
            self._n_logged += 1
            return True
        self._n_unlogged += 1
        return False


def _is_known(parts: Services, data: bytes) -> bool:
    """Whether the request has a valid API key, or needs none."""
    if not parts.keys:
        return True
    tokens = _TOKEN.findall(data.partition(b"\r\n\r\n")[0])
    return any(
        len(token) <= MAX_TOKEN_CHARS and parts.keys.find(token.decode("latin-1").strip())
        for token in tokens
    )
