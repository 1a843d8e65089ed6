"""Servers in real processes; see `tests.support.server`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.server import ServerProcess, served, short_dir

DEFAULT_MODEL = "smollm2-135m-instruct"
MakeServer = Callable[..., ServerProcess]
TIMEOUT_S = 200.0  # of clients: less than a test may take


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A private directory with a short path: Unix sockets are made in it."""
    with short_dir() as path:
        yield path


@pytest.fixture
def make_server(run_dir: Path) -> Iterator[MakeServer]:
    """Makes servers that are ended with the test: `make_server(["--engine", "fake"], env={})`."""
    servers: list[ServerProcess] = []

    def make(args: list[str], **options: Any) -> ServerProcess:
        server = ServerProcess(run_dir, args, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def server(make_server: MakeServer) -> ServerProcess:
    """A healthy server with the fake engine."""
    return make_server(["--engine", "fake", "--kernels", "auto"]).start()


@pytest.fixture(scope="session")
def calm_server() -> Iterator[ServerProcess]:
    """A healthy server with the fake engine, for all tests that leave it as it is."""
    with served("--engine", "fake", "--kernels", "auto") as server:
        yield server


@pytest.fixture(scope="session")
def model_server() -> Iterator[ServerProcess]:
    """A healthy server of the default model, for all tests that leave it as it is."""
    with served(DEFAULT_MODEL) as server:
        yield server


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> ServerProcess:
    """Whom the clients ask: `model_server` in tests that are marked `model`, else `server`."""
    is_default = request.node.get_closest_marker("model") is not None
    found: ServerProcess = request.getfixturevalue("model_server" if is_default else "server")
    return found


@pytest.fixture
def client(asked: ServerProcess) -> Iterator[openai.OpenAI]:
    """The official client."""
    url = f"{asked.url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def http(asked: ServerProcess) -> Iterator[httpx.Client]:
    """A plain client."""
    with httpx.Client(base_url=asked.url, timeout=TIMEOUT_S, trust_env=False) as client:
        yield client
