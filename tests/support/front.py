"""A front over the fake engine, without sockets, and what its tests read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pyserve.backend.static import StaticBackend
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.protocol import Engine
from pyserve.web.request.services import Services
from pyserve.web.request.stream_limit import StreamLimit

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EDITS = "/v1/edits"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
# A chat template by which a model is a guard.
GUARD = "Check if there is unsafe content.\nS1: Violent Crimes.\nS2: Non-Violent Crimes.\n"


@dataclass
class Front:
    """An app, its client, and the cores behind its models."""

    app: Flask
    client: FlaskClient
    cores: dict[str, FakeCore]
    stream_limit: StreamLimit

    @property
    def core(self) -> FakeCore:
        """The core of the only model."""
        (core,) = self.cores.values()
        return core

    @property
    def backend(self) -> StaticBackend:
        """What the app has for a supervisor."""
        parts: Services = self.app.extensions["pyserve"]
        assert isinstance(parts.backend, StaticBackend)
        return parts.backend

    @property
    def engine(self) -> Engine:
        """The engine of the only model, as the app has it."""
        (status,) = self.backend.models()
        return self.backend.lease(status.id).engine

    def post(self, path: str, body: Any, **options: Any) -> TestResponse:
        return self.client.post(path, json=body, **options)


def counted(front: Front, name: str) -> dict[str, float]:
    """A counter of the front's requests, `pyserve_<name>_total`, by its label."""
    parts: Services = front.app.extensions["pyserve"]
    return {
        next(iter(sample.labels.values())): sample.value
        for family in parts.measures.families()
        for sample in family.samples
        if sample.name == f"pyserve_{name}_total"
    }


def chat_body(content: str = "hello big world", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **fields}


def error_of(response: TestResponse) -> dict[str, Any]:
    """The error object, having checked its shape."""
    assert response.content_type == "application/json"
    body = response.get_json()
    error: dict[str, Any] = body["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["code"] is None or isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert response.headers["X-Request-Id"]
    return error


def events_of(response: TestResponse) -> list[Any]:
    """The events of a streamed answer as data; `[DONE]` as that string. Comments are left out."""
    assert response.status_code == 200
    assert response.content_type.startswith("text/event-stream")
    assert response.text.endswith("\n\n")
    events = response.text.split("\n\n")[:-1]
    data = [event.removeprefix("data: ") for event in events if not event.startswith(":")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]
