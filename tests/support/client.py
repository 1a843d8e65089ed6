"""The official client over an app, without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import openai

from tests.support.front import Front


@contextmanager
def client_of(front: Front, *, is_strict: bool) -> Iterator[openai.OpenAI]:
    """A client; a strict one fails on every response that is not as its types say."""
    transport = httpx.WSGITransport(app=front.app)
    with (
        httpx.Client(transport=transport) as http_client,
        openai.OpenAI(
            api_key="none",
            base_url="http://localhost/v1",
            http_client=http_client,
            max_retries=0,
            _strict_response_validation=is_strict,
        ) as client,
    ):
        yield client
