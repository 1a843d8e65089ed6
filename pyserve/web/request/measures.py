"""What this front measures of its requests, for GET /metrics: counts, and histograms of times.

With a directory in `PROMETHEUS_MULTIPROC_DIR` (`gunicorn_conf` makes one), prometheus_client keeps
the values in files there, and every front worker's page is the sum of all workers, also of those
that have ended.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    values,
)

from pyserve.web.request.notes import Notes
from pyserve.web.request.summed_files import summed
from pyserve.web.request.work import Work

DIRECTORY_ENV = "PROMETHEUS_MULTIPROC_DIR"
WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
QUEUES_S = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
REQUESTS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
TOKENS = (1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
NAMES = ("model", "endpoint")

disable_created_metrics()  # type: ignore[no-untyped-call]


class Measures:
    """Responses by status, errors by code, and what generating requests took. Any thread."""

    def __init__(self) -> None:
        # gunicorn's master imports prometheus_client before there is a directory.
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._responses = self._counter("http_responses", "HTTP responses by status.", ("status",))
        self._errors = self._counter("errors", "Errors and refusals by code.", ("code",))
        self._requests = self._counter(
            "requests",
            "Generating requests that ended, by HTTP status and reason.",
            (*NAMES, "status", "finish_reason"),
        )
        self._first_token = self._histogram(
            "time_to_first_token_seconds", "From a request's arrival to its first token.", WAITS_S
        )
        self._queue = self._histogram("queue_seconds", "What a request was queued.", QUEUES_S)
        self._whole = self._histogram(
            "request_seconds", "From a request's arrival to the end of its answer.", REQUESTS_S
        )
        self._prompt = self._histogram("prompt_tokens", "Tokens of a request's prompt.", TOKENS)
        self._generated = self._histogram("generation_tokens", "Tokens of its answer.", TOKENS)

    def count(self, status: int) -> None:
        self._responses.labels(str(status)).inc()

    def count_error(self, code: str) -> None:
        self._errors.labels(code).inc()

    def end(self, noted: Notes, endpoint: str, status: int, seconds: float) -> None:
        """A generating request has ended."""
        model, work = noted.model_id or "", noted.work
        finish = "" if work is None else work.finish
        self._requests.labels(model, endpoint, str(status), finish).inc()
        if work is not None and model:
            self._whole.labels(model, endpoint).observe(seconds)
            self._take(work, (model, endpoint))

    def _take(self, work: Work, labels: tuple[str, str]) -> None:
        self._queue.labels(*labels).observe(work.queue_ms / 1000)
        self._prompt.labels(*labels).observe(work.n_prompt_tokens)
        self._generated.labels(*labels).observe(work.n_completion_tokens)
        if work.first_token_ms is not None:
            self._first_token.labels(*labels).observe(work.first_token_ms / 1000)

    def families(self) -> Iterable[Any]:
        """All of it, over all front workers, as prometheus_client collects it."""
        directory = os.environ.get(DIRECTORY_ENV)
        return self._registry.collect() if directory is None else summed(Path(directory))

    def _counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"pyserve_{name}", about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"pyserve_{name}", about, NAMES, registry=self._registry, buckets=buckets)


class PageCache:
    """Pages that are made at most every `keep_s` seconds. Any thread.

    Whoever asks meanwhile waits for the one that is being made, or gets the last one.
    """

    MOST = 64

    def __init__(self, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._pages: dict[Hashable, tuple[float, str]] = {}

    def get(self, key: Hashable, make: Callable[[], str]) -> str:
        """The page of `key`, which `make` makes."""
        with self._lock:
            made_at, page = self._pages.get(key, (0.0, ""))
            if not page or self._clock() - made_at >= self._keep_s:
                page = make()
                if len(self._pages) >= self.MOST:
                    self._pages.clear()
                self._pages[key] = (self._clock(), page)
            return page
