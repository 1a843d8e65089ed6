"""Clients of Ollama's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import ollama
import pytest

from tests.e2e.conftest import TIMEOUT_S
from tests.support.server import ServerProcess

ClientOf = Callable[..., ollama.Client]


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    """Makes official clients of a server, with an API key or without."""
    with ExitStack() as clients:

        def make(server: ServerProcess, key: str = "") -> ollama.Client:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            client = ollama.Client(
                host=server.url, headers=headers, timeout=TIMEOUT_S, trust_env=False
            )
            return clients.enter_context(client)

        yield make


@pytest.fixture
def client(client_of: ClientOf, asked: ServerProcess) -> ollama.Client:
    """The official client."""
    return client_of(asked)
