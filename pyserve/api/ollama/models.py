"""GET /api/tags, /api/ps, /api/version, POST /api/show."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

from flask import Response

from pyserve import __version__
from pyserve.api.endpoint import Endpoint
from pyserve.api.models import named_model
from pyserve.backend.protocol import ModelStatus
from pyserve.models.facts import FileFacts, file_facts
from pyserve.models.gallery import load_gallery
from pyserve.ollama import examples
from pyserve.ollama.errors import OLLAMA
from pyserve.ollama.models import (
    OllamaModels,
    OllamaProcesses,
    OllamaShow,
    OllamaVersion,
    listed,
    running,
    shown,
)
from pyserve.ollama.times import utc_now
from pyserve.openai.document.operation import Operation
from pyserve.schemas.ollama import OllamaShowRequest
from pyserve.web.answer.model_names import served_models, usable_models
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

endpoint = Endpoint("ollama_models", tag="Ollama", errors=OLLAMA, is_below_v1=False)
about = Endpoint("ollama_version", tag="Ollama", errors=OLLAMA, is_below_v1=False, needs_key=False)

API_VERSION = "0.34.0"  # clients ask for it to know what a server can do


@endpoint.view(
    Operation(
        name="ollamaTags",
        method="get",
        path="/api/tags",
        summary="All served models, by Ollama's API",
        response=OllamaModels,
        example=examples.tags,
    )
)
def tags() -> Response:
    found = [model for status in usable_models() for model in listed(status, _facts(status))]
    return json_reply(OllamaModels(found))


@endpoint.view(
    Operation(
        name="ollamaPs",
        method="get",
        path="/api/ps",
        summary="The loaded models, by Ollama's API",
        response=OllamaProcesses,
        example=examples.processes,
    )
)
def processes() -> Response:
    now, now_s = utc_now(), time.monotonic()
    return json_reply(
        OllamaProcesses(
            [
                running(status, _facts(status), now, now_s)
                for status in usable_models()
                if status.state == "ready" and status.parent is None
            ]
        )
    )


@endpoint.view(
    Operation(
        name="ollamaShow",
        method="post",
        path="/api/show",
        summary="One served model, by Ollama's API",
        request=OllamaShowRequest,
        body=examples.NAMED,
        response=OllamaShow,
        example=examples.show,
    )
)
def show() -> Response:
    status = named_model(read_body(OllamaShowRequest).wanted)
    return json_reply(shown(status, _facts(status)))


@about.view(
    Operation(
        name="ollamaVersion",
        method="get",
        path="/api/version",
        summary="The version of Ollama's API, and of the server",
        response=OllamaVersion,
        example=lambda: OllamaVersion(API_VERSION, __version__),
    )
)
def version() -> Response:
    return json_reply(OllamaVersion(API_VERSION, __version__))


def _facts(status: ModelStatus) -> FileFacts | None:
    """What the file says; of a model with an adapter the other's, with a digest of its own."""
    if status.parent is None:
        return file_facts(Path(status.model_path), load_gallery()) if status.model_path else None
    parent = next((each for each in served_models() if each.id == status.parent), None)
    facts = None if parent is None else _facts(parent)
    if facts is None:
        return None
    digest = hashlib.sha256(f"{facts.digest}\0{status.id}".encode()).hexdigest()
    return replace(facts, digest=digest, is_hash=False)
