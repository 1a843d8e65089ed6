"""Hostile inputs against a running server: each row ends with the server as it was before.

Rows are data, named after what is wrong with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, served
from tests.support.tiny.llama import write_tiny_llama

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
JSON = {"Content-Type": "application/json"}
ARGS = ["--preload", "all", "--parallel", "4", "--threads", "1", "--prefix-cache-mib", "8"]
PLAIN = {"model": "tiny", "prompt": "say this", "max_tokens": 3, "temperature": 0}
BASES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "tiny", "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]},
    COMPLETIONS: {"model": "tiny", "max_tokens": 2, "prompt": "hi"},
    EMBEDDINGS: {"model": "embed", "input": "hi"},
}


class Target:
    """A server under attack."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False)
        self._answer = self._plain()
        self._pids = self._running()

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Post bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, content=data, headers={**JSON, **headers})

    def ask(self, path: str, **fields: Any) -> httpx.Response:
        """Post a request that is good but for `fields`."""
        return self.post(path, {**BASES[path], **fields})

    def check(self) -> None:
        """Nothing has changed: the processes, their health, and what a plain request gets."""
        assert self.client.get("/health").status_code == 200
        assert self._plain() == self._answer
        assert self._running() == self._pids

    def _plain(self) -> str:
        choice = self.post(COMPLETIONS, PLAIN).raise_for_status().json()["choices"][0]
        return str(choice["text"])

    def _running(self) -> list[int]:
        return sorted(process.pid for process in self.server.remember())

    def close(self) -> None:
        self.client.close()


def rows(table: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The rows as parameters; the first member of each is its name."""
    return [pytest.param(*row[1:], id=str(row[0])) for row in table]


def error_in(content: bytes, status: int) -> dict[str, Any]:
    """The error object of a body, having checked its shape."""
    error: dict[str, Any] = json.loads(content)["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert (error["type"] == "server_error") == (status in (500, 501, 505))
    return error


def check_refusal(
    response: httpx.Response, status: int, code: str | None = None, param: str | None = None
) -> None:
    """The response is an error in OpenAI's shape; None: whatever code, or param."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    error = error_in(response.content, status)
    assert code in (None, error["code"]), error
    assert param in (None, error["param"]), error


@pytest.fixture(scope="session")
def session_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    models = tmp_path_factory.mktemp("models")
    write_tiny_llama(models / "tiny.gguf", n_ctx=512)
    write_tiny_llama(models / "embed.gguf", n_ctx=512, pooling=1)
    with served("--models-dir", str(models), *ARGS) as server:
        target = Target(server)
        yield target
        target.close()


@pytest.fixture
def target(session_target: Target) -> Iterator[Target]:
    """The server that most rows attack; checked after each of them."""
    yield session_target
    session_target.check()
