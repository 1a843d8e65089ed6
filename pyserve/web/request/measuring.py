"""Has every response of an app counted, and those of generating endpoints measured."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from pyserve.web.request.measures import Measures
from pyserve.web.request.notes import notes
from pyserve.web.request.services import services


def install(app: Flask, measures: Measures) -> None:
    """Count every response of `app`, and measure those of generating endpoints."""

    def begin() -> None:
        g.measured_from = time.monotonic()

    def finish(response: Response) -> Response:
        measures.count(response.status_code)
        code = g.get("error_code")
        if code is not None:
            measures.count_error(code)
        if services().endpoints.usecase(request.blueprint) is not None:
            noted, status = notes(), response.status_code
            began_at = g.get("measured_from", time.monotonic())
            endpoint = (request.blueprint or "").rpartition(".")[2]

            def end() -> None:
                measures.end(noted, endpoint, status, time.monotonic() - began_at)

            response.call_on_close(end)
        return response

    app.before_request(begin)
    app.after_request(finish)
