"""A Ray cluster of several nodes on this machine, and fronts over it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from bench.cluster.nodes import RayNodes
from tests.support.server import ServerProcess, short_dir

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_*.py"]


@pytest.fixture(scope="session")
def nodes() -> Iterator[RayNodes]:
    """A head without CPUs, and two nodes with two; tests that take nodes away put others there."""
    with RayNodes() as nodes:
        nodes.add(2)
        nodes.add(2)
        yield nodes


@pytest.fixture
def front(nodes: RayNodes) -> Iterator[ServerProcess]:
    """`pyserve serve --cluster`, healthy as soon as a model is deployed."""
    with short_dir() as directory, ServerProcess(directory, ["--cluster", nodes.address]) as front:
        front.start(wait=False)
        yield front
