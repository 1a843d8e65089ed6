from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from pyserve.web.request.families import family_of
from pyserve.web.request.refusal import stalled


@pytest.mark.parametrize(
    "path",
    [
        "/messages",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/messages/batches/x",
        "/engines/a/b/messages",
        "/v1/engines/tiny/messages",
    ],
)
def test_paths_of_anthropic(path):
    assert family_of(path).errors.name == "Anthropic"
    assert family_of(f"/llm{path}", prefix="/llm").errors.name == "Anthropic"


@pytest.mark.parametrize("path", ["/api/chat", "/api/nothing", "/api"])
def test_paths_of_ollama(path):
    assert family_of(path).errors.name == "Ollama"
    refusal = stalled().to_bytes("r", 1, family_of(path))
    assert refusal.endswith(b'{"error":"the request did not arrive in time"}')


@pytest.mark.parametrize(
    "path",
    ["/", "/apis", "/v1/api/chat", "/v1/models", "/v1/messages2", "/v2/messages", "/x/messages"],
)
def test_other_paths_are_of_openai_unless_a_header_says_else(path):
    assert family_of(path).errors.name == ""
    assert family_of(path, Headers({"X-Api-Key": "k"})).errors.name == ""
    headers = Headers({"anthropic-version": "2023-06-01"})
    assert family_of(path, headers).errors.name == "Anthropic"
