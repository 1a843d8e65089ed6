"""GET /usage, and GET /organization/usage/completions in OpenAI's shape: for administrators."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.errors import InvalidRequestError, UnavailableError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.usage import (
    DAY_S,
    GROUPS,
    HOUR_S,
    OPENAI_GROUPS,
    UsagePage,
    UsageReport,
    UsageRow,
    usage_page,
    usage_report,
)
from pyserve.web.keys.usage import since_1970
from pyserve.web.request.access import require_admin
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("usage", tag="Server")

WIDTHS_S = {"1h": HOUR_S, "1d": DAY_S}
N_BUCKETS = {"1h": (24, 168), "1d": (7, 31)}  # at first, and at most
DEFAULT_DAYS = 30
MAX_TIME_S = 2**40
EXAMPLE = [
    UsageRow(examples.CREATED - examples.CREATED % DAY_S, "alice", examples.MODEL, 2, 48, 24, 16)
]
BEGIN_S = EXAMPLE[0].hour_s
TIMES = "Seconds since 1970, or a date or time as in ISO 8601 (UTC)"


@endpoint.view(
    Operation(
        name="usage",
        method="get",
        path="/usage",
        summary="Used tokens by API key, model and time",
        details="Counted by hours. Needs the key of an administrator, where there are keys.",
        query={
            "from": f"{TIMES}; absent: {DEFAULT_DAYS} days ago. The begin of its hour counts.",
            "to": f"{TIMES}; absent: now. The end of its hour counts.",
            "group_by": f"Some of {', '.join(GROUPS)}, separated by commas; absent: one sum.",
        },
        response=UsageReport,
        example=lambda: usage_report(EXAMPLE, BEGIN_S, BEGIN_S + DAY_S, ("key", "model")),
        may_be_unavailable=True,
    )
)
def usage() -> Response:
    require_admin()
    now_s = int(since_1970())
    begin_s = _time("from", now_s - DEFAULT_DAYS * DAY_S)
    end_s = _time("to", now_s)
    begin_s, end_s = begin_s - begin_s % HOUR_S, end_s + -end_s % HOUR_S
    groups = _groups(GROUPS)
    return json_reply(usage_report(_rows(begin_s, end_s), begin_s, end_s, groups))


@endpoint.view(
    Operation(
        name="organizationUsage",
        method="get",
        path="/organization/usage/completions",
        summary="The same in OpenAI's shape",
        query={
            "start_time": "Seconds since 1970.",
            "end_time": "The same; absent: now.",
            "bucket_width": "1h or 1d, the default.",
            "group_by": "Of OpenAI's groups only api_key_id and model tell something apart.",
            "api_key_ids": "Names of keys.",
            "models": "Names of models.",
            "limit": "Number of buckets.",
            "page": "next_page of the page before.",
        },
        response=UsagePage,
        example=lambda: usage_page(
            EXAMPLE, range(BEGIN_S, BEGIN_S + DAY_S, DAY_S), BEGIN_S + DAY_S, ("model",)
        ),
        may_be_unavailable=True,
    )
)
def organization_usage() -> Response:
    require_admin()
    if "start_time" not in request.args:
        raise InvalidRequestError("start_time is required", param="start_time")
    width = request.args.get("bucket_width", "1d")
    if width not in WIDTHS_S:
        raise InvalidRequestError(
            f"bucket_width must be one of {', '.join(WIDTHS_S)}", param="bucket_width"
        )
    width_s = WIDTHS_S[width]
    begin_s = _time("start_time", 0)
    end_s = max(_time("end_time", int(since_1970())), begin_s)
    begin_s -= begin_s % width_s
    first_s = max(_time("page", begin_s), begin_s)
    starts = range(first_s, end_s, width_s)[: _limit(*N_BUCKETS[width])]
    groups = _groups(OPENAI_GROUPS)
    keys, models = _listed("api_key_ids"), _listed("models")
    rows = [
        row
        for row in _rows(first_s, starts.stop)
        if (not keys or row.key in keys) and (not models or row.model in models)
    ]
    return json_reply(usage_page(rows, starts, end_s, groups))


def _rows(begin_s: int, end_s: int) -> list[UsageRow]:
    try:
        found = services().usage.read(begin_s, end_s)
    except (OSError, sqlite3.Error) as error:
        raise UnavailableError(f"the file of usage cannot be read: {error}") from error
    return [UsageRow(row.hour_s, row.key, row.model, *row.counts) for row in found]


def _time(name: str, default_s: int) -> int:
    """A time of the query, in seconds since 1970. Raises InvalidRequestError."""
    text = request.args.get(name)
    if text is None:
        return default_s
    try:
        if text.isdecimal() and len(text) < len(str(MAX_TIME_S)):
            return int(text)
        given = datetime.fromisoformat(text)
        seconds = int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    if seconds < 0:
        raise InvalidRequestError(f"{name} is no time: {TIMES}", param=name)
    return seconds


def _limit(default: int, n_max: int) -> int:
    text = request.args.get("limit", str(default))
    if not (text.isdecimal() and len(text) < 5 and 1 <= int(text) <= n_max):  # noqa: PLR2004
        raise InvalidRequestError(f"limit must be a number of 1 to {n_max}", param="limit")
    return int(text)


def _groups(known: Collection[str]) -> list[str]:
    groups = _listed("group_by")
    for name in groups:
        if name not in known:
            message = f"group_by: {name[:100]!r} is none of {', '.join(known)}"
            raise InvalidRequestError(message, param="group_by")
    return groups


def _listed(name: str) -> list[str]:
    """The values of a parameter that may be repeated, as `name` or `name[]`, or have commas."""
    texts = [*request.args.getlist(name), *request.args.getlist(f"{name}[]")]
    return [part for text in texts for part in text.split(",") if part]
