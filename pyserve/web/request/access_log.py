"""`--log-format json`: an access log with one record per request; bodies are never logged."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g, has_request_context, request

from pyserve.process.logs import FIELDS
from pyserve.web.request.access import current_key
from pyserve.web.request.notes import notes, request_id
from pyserve.web.request.work import Work

MAX_PATH_CHARS = 256

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Log a record when a response has ended."""
    app.before_request(_begin)
    app.after_request(_record)


def context() -> dict[str, Any]:
    """Fields that every log record of a request has."""
    return {"request_id": request_id()} if has_request_context() else {}


def record(shown_id: str, method: str, path: str, status: int, code: str) -> None:
    """Log a request that did not reach the application."""
    fields = {
        "request_id": shown_id,
        "method": method,
        "path": path[:MAX_PATH_CHARS],
        "status": status,
        "code": code,
    }
    log.info("request", extra={FIELDS: fields})


def record_refused(n_requests: int) -> None:
    """Log the number of refused requests that have no record of their own."""
    log.info("%d more requests refused under overload", n_requests)


def _begin() -> None:
    g.began_at = time.monotonic()


def _record(response: Response) -> Response:
    """Log the request when its response has been sent, or its client has gone."""
    key = current_key()
    began_at = g.get("began_at", time.monotonic())
    noted = notes()
    fields = {
        "request_id": noted.request_id,
        "method": request.method,
        "path": request.path[:MAX_PATH_CHARS],
        "status": response.status_code,
        "model": noted.model_id,
        "code": g.get("error_code"),
        "key": None if key is None else key.name,
    }

    def write() -> None:
        fields["milliseconds"] = round((time.monotonic() - began_at) * 1000, 1)
        shown = {} if noted.work is None else _shown(noted.work)
        log.info("request", extra={FIELDS: fields | shown})

    response.call_on_close(write)
    return response


def _shown(work: Work) -> dict[str, Any]:
    """The fields about a request that generated."""
    return {
        "prompt_tokens": work.n_prompt_tokens,
        "cached_tokens": work.n_cached_tokens,
        "completion_tokens": work.n_completion_tokens,
        "finish": work.finish,
        "queue_milliseconds": round(work.queue_ms, 1),
        "first_token_milliseconds": _rounded(work.first_token_ms),
        "tokens_per_second": _rounded(work.tokens_per_s),
        "tenant": work.tenant,
        "priority": work.priority,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
