"""Clients of Anthropic's API."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from tests.e2e.conftest import TIMEOUT_S
from tests.support.server import ServerProcess


@pytest.fixture
def claude(asked: ServerProcess) -> Iterator[anthropic.Anthropic]:
    """The official client."""
    with anthropic.Anthropic(
        base_url=asked.url,
        api_key="none",
        max_retries=0,
        timeout=TIMEOUT_S,
        _strict_response_validation=True,
    ) as client:
        yield client
