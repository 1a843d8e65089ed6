"""Asks the application itself, as a client would, for one line of a batch."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from pyserve.batch.journal import Answer
from pyserve.batch.lines import refused_field
from pyserve.batch.work import Reply, seconds_of
from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.errors import INVALID, error_body
from pyserve.web.request.families import family_of
from pyserve.web.request.inside import Inside
from pyserve.web.request.notes import fresh_id
from pyserve.web.request.services import services_of

BAD_REQUEST = 400
BASE_URL = "http://localhost"


def call(app: Flask, url: str, body: bytes, key: ApiKey | None, check: Callable[[], None]) -> Reply:
    """What the endpoint `url` says to `body`. Any thread; needs no Flask context.

    It runs in the background. check: raises ClientGoneError when nobody wants it any more.
    """
    shown_id = fresh_id()
    refused = refused_field(body)
    if refused is not None:
        message = f"{refused} is not supported in a batch"
        error = error_body(message, INVALID, refused, "unsupported_parameter")["error"]
        code, told = family_of(url).errors.tell(BAD_REQUEST, error, shown_id)
        return Reply(Answer(code, shown_id, msgspec.Raw(msgspec.json.encode(told))))
    builder = EnvironBuilder(
        path=services_of(app).config.api_prefix + url,
        base_url=BASE_URL,
        method="POST",
        data=body,
        content_type="application/json",
        headers=[("X-Request-Id", shown_id)],
    )
    environ = builder.get_environ()
    Inside(key, check).mark(environ)
    parts, status, headers = run_wsgi_app(app.wsgi_app, environ, buffered=True)
    answer = Answer(int(status.split()[0]), shown_id, msgspec.Raw(b"".join(parts)))
    return Reply(answer, seconds_of(headers.get("Retry-After")))
