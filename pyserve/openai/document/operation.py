"""`Operation`: what the OpenAPI document says of one method of one path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pyserve.openai.server.error_shape import OPENAI, ErrorShape
from pyserve.schemas.common import RequestModel

EVENT_STREAM = "text/event-stream"
LINES = "application/x-ndjson"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, which is served without `/v1`, and below it if `is_below_v1`.

    path: with its parameters in braces, which may have slashes in them. tag: its heading, given by
    the endpoint.
    query: what may stand in the URL, by name. headers: those that change what is done.
    body: an example of the request. form: the fields of one that is a form, the file first.
    other_requests: other types of it. variants: other types of the response. errors: how they are
    told.
    example, events: make the response to it, plain and streamed.
    lists: it may also be a list of one of these. is_list: it is a list in any case.
    event_types: what is streamed. ends_with_done: whether with `[DONE]`; None: as streams of events
    without types do. media_type: of a response that is no
    struct, "": it is empty; stream_type: of a stream.
    status: of success, or that of what is not built. asks_model: it takes a place of its key and of
    the server while it asks a model, and keeps the deadline of its client; generating ones do.
    may_be_unavailable: others whose answer may be 503. needs_key: where keys are set.
    """

    name: str
    method: str
    path: str
    summary: str
    tag: str = ""
    details: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    request: type[RequestModel] | None = None
    other_requests: tuple[type[RequestModel], ...] = ()
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    response: type[msgspec.Struct] | None = None
    variants: tuple[type[msgspec.Struct], ...] = ()
    example: Callable[[], Any] | None = None
    lists: tuple[type[msgspec.Struct], ...] = ()
    is_list: bool = False
    event_types: tuple[type[msgspec.Struct], ...] = ()
    events: Callable[[], list[Any]] | None = None
    ends_with_done: bool | None = None
    media_type: str = "application/json"
    stream_type: str = EVENT_STREAM
    status: int = 200
    asks_model: bool = False
    may_be_unavailable: bool = False
    needs_key: bool = True
    is_below_v1: bool = True
    errors: ErrorShape = OPENAI

    @property
    def requests(self) -> tuple[type[RequestModel], ...]:
        """All shapes of its body."""
        return () if self.request is None else (self.request, *self.other_requests)
