"""A span of each generating request for OpenTelemetry, with the attributes of `gen_ai.*`.

Source: OpenTelemetry's semantic conventions of generative AI (spans), and W3C's Trace Context.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, g, request

from pyserve.web.request.notes import Notes, notes
from pyserve.web.request.services import services
from pyserve.web.request.spans import Export, Span
from pyserve.web.request.work import CANCELLED

# LocalAI's usecases, in the words of the conventions.
OPERATIONS = {
    "chat": "chat",
    "completion": "text_completion",
    "edit": "text_completion",
    "embeddings": "embeddings",
    "rerank": "rerank",
}
PARENTS = ("traceparent", "tracestate")


def install(app: Flask, export: Export) -> None:
    """Give `export`, which never waits, the span of each generating request when it is over."""

    def finish(response: Response) -> Response:
        usecase = services().endpoints.usecase(request.blueprint)
        begin_ns = g.get("span_begin_ns")
        if usecase is None or begin_ns is None:
            return response
        noted, error, status = notes(), g.get("error_code"), response.status_code
        operation = OPERATIONS.get(usecase, usecase)
        parent = {name: request.headers[name] for name in PARENTS if name in request.headers}
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "pyserve",
            "http.request.method": request.method,
            "http.response.status_code": status,
            "url.path": request.path,
            "pyserve.request.id": noted.request_id,
        }

        def end() -> None:
            shown, failure = attributes | _of_work(noted), error or _failure(noted)
            if failure is not None:
                shown["error.type"] = failure
            name = f"{operation} {noted.model_id}" if noted.model_id else operation
            export(Span(name, begin_ns, _now_ns(), parent, shown, failure))

        response.call_on_close(end)
        return response

    app.before_request(_begin)
    app.after_request(finish)


def _begin() -> None:
    g.span_begin_ns = _now_ns()


def _now_ns() -> int:
    return time.time_ns()  # noqa: TID251  # spans of several machines stand beside each other


def _failure(noted: Notes) -> str | None:
    """The code with which a stream that had begun broke off, or `cancelled`."""
    work = noted.work
    if work is None or set(work.finish.split(",")) <= {"stop", "length"}:
        return None
    return work.finish or CANCELLED


def _of_work(noted: Notes) -> dict[str, Any]:
    """The attributes about the model's work; those that are not known are left out."""
    found: dict[str, Any] = {
        "gen_ai.request.model": noted.model_id,
        "gen_ai.response.model": noted.model_id,
    }
    work = noted.work
    if work is not None:
        found |= {f"gen_ai.request.{name}": value for name, value in work.asked.items()}
        found |= {
            "gen_ai.usage.input_tokens": work.n_prompt_tokens,
            "gen_ai.usage.cache_read.input_tokens": work.n_cached_tokens,
            "gen_ai.usage.output_tokens": work.n_completion_tokens,
            "gen_ai.response.finish_reasons": None if _failure(noted) else work.finish.split(","),
            "pyserve.queue_ms": work.queue_ms,
            "pyserve.first_token_ms": work.first_token_ms,
            "pyserve.tokens_per_s": work.tokens_per_s,
            "pyserve.priority": work.priority,
            "pyserve.tenant": work.tenant,
        }
    return {name: value for name, value in found.items() if value is not None}
