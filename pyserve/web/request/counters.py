"""Counts this front worker's responses by status and error code, for GET /metrics."""

from __future__ import annotations

import threading
from collections import Counter

from flask import Flask, Response, g


class Counters:
    """Responses by status, and errors by code. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._responses: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()

    def count(self, status: int) -> None:
        with self._lock:
            self._responses[status] += 1

    def count_error(self, code: str) -> None:
        with self._lock:
            self._errors[code] += 1

    def responses(self) -> dict[int, int]:
        with self._lock:
            return dict(self._responses)

    def errors(self) -> dict[str, int]:
        with self._lock:
            return dict(self._errors)


def install(app: Flask, counters: Counters) -> None:
    """Count every response of `app`."""

    def count(response: Response) -> Response:
        counters.count(response.status_code)
        code = g.get("error_code")
        if code is not None:
            counters.count_error(code)
        return response

    app.after_request(count)
