"""`--log-format json`: an access log with one record per request; bodies are never logged."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g, has_request_context, request

from pyserve.process.logs import FIELDS
from pyserve.web.request.access import current_key
from pyserve.web.request.notes import request_id

MAX_PATH_CHARS = 256

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Log a record when a response begins."""
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
    key = current_key()
    began_at = g.get("began_at", time.monotonic())
    fields = {
        "method": request.method,
        "path": request.path[:MAX_PATH_CHARS],
        "status": response.status_code,
        "milliseconds": round((time.monotonic() - began_at) * 1000, 1),
        "model": g.get("model_resolved"),
        "code": g.get("error_code"),
        "key": None if key is None else key.name,
    }
    log.info("request", extra={FIELDS: fields})
    return response
