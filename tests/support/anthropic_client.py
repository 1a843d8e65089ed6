"""The official client of Anthropic over an app, without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2

from tests.support.front import Front


@contextmanager
def anthropic_client_of(front: Front, **options: Any) -> Iterator[anthropic.Anthropic]:
    """A client that fails on every response that is not as its types say."""
    transport = httpx2.WSGITransport(app=front.app)
    options = {"api_key": "none", "max_retries": 0, **options}
    with (
        httpx2.Client(transport=transport) as http_client,
        anthropic.Anthropic(
            base_url="http://localhost",
            http_client=http_client,
            _strict_response_validation=True,
            **options,
        ) as client,
    ):
        yield client
