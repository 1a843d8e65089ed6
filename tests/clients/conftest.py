"""Clients by other hands against one real server of the default model, with keys and tenants.

They run in an environment of their own, without pyserve: `make test-clients`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ServerProcess, free_port, short_dir

ROOT = Path(__file__).parents[2]
PYSERVE = ROOT / ".venv/bin/pyserve"
MODEL = "smollm2-135m-instruct"
CALLER = "caller"
CALLERS = """
- name: {name}
  parameters: {{model: "{file}"}}
  function: {{disable_no_action: true}}
"""
FIRST, SECOND, NARROW = "sk-of-the-first", "sk-of-the-second", "sk-of-one-at-a-time"
KEYS = f"""
[[keys]]
key = "{FIRST}"
tenant = "first"
[[keys]]
key = "{SECOND}"
tenant = "second"
[[keys]]
key = "{NARROW}"
tenant = "narrow"
max_concurrency = 1
"""
TIMEOUT_S = 300.0  # of clients: less than a test may take


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What clients warn of is theirs; some take long to be imported."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("default"))
        item.add_marker(pytest.mark.timeout(600))


@contextlib.contextmanager
def running(*args: str) -> Iterator[ServerProcess]:
    """A healthy server; who has no key is refused."""
    with short_dir() as directory:
        keys = directory / "keys.toml"
        keys.write_text(KEYS)
        port = free_port()
        options = [*args, "--port", str(port), "--api-key-file", str(keys), "--ollama"]
        command = [str(PYSERVE), "serve"]
        env = {"PYTHONPATH": str(ROOT)}  # of the command that ties the server to this process
        with ServerProcess(directory, options, command=command, port=port, env=env) as server:
            yield server.start()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server of the default model."""
    with running(MODEL) as server:
        yield server


@pytest.fixture(scope="session")
def caller() -> Iterator[ServerProcess]:
    """A server of the same model, which must call a function where one is offered."""
    listed = subprocess.run([PYSERVE, "models", "--json"], capture_output=True, check=True).stdout
    (file,) = [model["file"] for model in json.loads(listed) if model["id"] == MODEL]
    with short_dir() as directory:
        config = directory / "models.yaml"
        config.write_text(CALLERS.format(name=CALLER, file=Path(file).name))
        with running(CALLER, "--models-config-file", str(config)) as server:
            yield server


@pytest.fixture
def full() -> Iterator[ServerProcess]:
    """A server of that kind which has room for one stream."""
    with running("--engine", "fake", "--max-streams", "1") as server:
        yield server


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all tests: some clients keep connections that belong to it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def base_url(server: ServerProcess) -> str:
    """Where OpenAI's clients ask."""
    return f"{server.url}/v1"
