"""Requests for which there is no place, answered by the worker's main loop.

Under overload these are nearly all requests, and what they cost is taken from those that run.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from pyserve.errors import QueueFullError
from pyserve.web import access_log
from pyserve.web.access import MAX_TOKEN_CHARS
from pyserve.web.arrivals import is_whole
from pyserve.web.errors import describe, retry_after
from pyserve.web.framing import Refusal
from pyserve.web.request_id import fresh_id, sane_id
from pyserve.web.services import Services

_GENERATING = re.compile(
    rb"POST ((?:/v1)?/(?:engines/[^ ?]+/)?"
    rb"(?:chat/completions|completions|edits|embeddings|responses))(?:\?[^ ]*)? "
)
_ID = re.compile(rb"\r\nx-request-id:[ \t]*([^\r]*)\r\n", re.IGNORECASE)
_PAGE = re.compile(rb"\r\norigin:", re.IGNORECASE)  # it needs the headers of CORS
_TOKEN = re.compile(rb"\r\n(?:authorization:[ \t]*bearer|x-api-key:)[ \t]*([^\r]+)", re.IGNORECASE)


def turn_away(parts: Services, data: bytes) -> bytes | None:
    """The response to a request that the application would refuse for want of a place.

    data: a request as it came. None: the application has to see it. What it would say about other
    faults of the request is left unsaid. The connection is to be closed after the response.
    """
    try:
        parts.stream_limit.check()
    except QueueFullError as error:
        line = _GENERATING.match(data)
        is_ours = line is not None and is_whole(data) and not _PAGE.search(data)
        if line is None or not is_ours or not _is_known(parts, data):
            return None
        given = _ID.search(data)
        shown_id = sane_id(given[1].decode("latin-1")) if given else fresh_id()
        status, body = describe(error, shown_id)
        code = body["error"]["code"]
        parts.counters.count(status)
        parts.counters.count_error(code)
        if parts.config.log_format == "json":
            access_log.record(shown_id, "POST", line[1].decode("latin-1"), status, code)
        refusal = Refusal(HTTPStatus(status), code, body["error"]["message"])
        return refusal.to_bytes(shown_id, retry_after(error))
    return None


def _is_known(parts: Services, data: bytes) -> bool:
    """Whether a key is there, where one is needed."""
    if not parts.keys:
        return True
    tokens = _TOKEN.findall(data.partition(b"\r\n\r\n")[0])
    return any(
        len(token) <= MAX_TOKEN_CHARS and parts.keys.find(token.decode("latin-1").strip())
        for token in tokens
    )
