"""Servers in real processes; see `tests.support.server`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ServerProcess

MakeServer = Callable[..., ServerProcess]


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A private directory with a short path: Unix sockets are made in it."""
    path = Path(tempfile.mkdtemp(prefix="ps-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


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
    return make_server(["--engine", "fake"]).start()
