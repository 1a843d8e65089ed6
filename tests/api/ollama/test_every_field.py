"""Every field of Ollama's bodies: nonsense is refused by name, null is absent."""

from __future__ import annotations

import pytest

from pyserve.schemas.ollama import (
    OllamaChatRequest,
    OllamaEmbeddingsRequest,
    OllamaEmbedRequest,
    OllamaGenerateRequest,
    OllamaOptions,
)
from tests.support.ollama_lines import CHAT, GENERATE, chat, prompt

BODIES = {
    CHAT: (OllamaChatRequest, chat(stream=False)),
    GENERATE: (OllamaGenerateRequest, prompt(stream=False)),
    "/api/embed": (OllamaEmbedRequest, {"model": "tiny", "input": "x"}),
    "/api/embeddings": (OllamaEmbeddingsRequest, {"model": "tiny", "prompt": "x"}),
}
NONSENSE = ([[[]]], -(10**30), 0.5e300, [{"a": [None]}], [["a"] * 3] * 3)
REQUIRED = {"model", "input"}


@pytest.mark.parametrize("path", BODIES)
def test_nonsense_is_refused_by_the_fields_name(front, path):
    schema, body = BODIES[path]
    for name in (field.alias or name for name, field in schema.model_fields.items()):
        for value in NONSENSE:
            response = front.post(path, {**body, name: value})
            assert response.status_code == 400, (name, value)
            assert response.get_json()["error"].startswith(name), (name, value)


def test_nonsense_of_options_is_refused_by_name(front):
    for name in OllamaOptions.model_fields:
        for value in NONSENSE:
            response = front.post(CHAT, chat(options={name: value}))
            assert response.status_code == 400, (name, value)
            assert response.get_json()["error"].startswith(f"options.{name}"), (name, value)


@pytest.mark.parametrize("path", BODIES)
def test_null_is_absent(front, path):
    schema, body = BODIES[path]
    for name in set(schema.model_fields) - REQUIRED:
        response = front.post(path, {**body, name: None, "stream": False})
        assert response.status_code == 200, name
