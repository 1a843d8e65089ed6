"""GET /health, /ready (also /healthz, /readyz, /ping): 200 while a model can answer, else 503.

A model that is not loaded counts as able to answer: the first request loads it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from flask import Response

from pyserve import __version__
from pyserve.api.endpoint import Endpoint
from pyserve.backend.protocol import ModelStatus
from pyserve.errors import ModelLoadError, ModelLoadingError, PyserveError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.about import Health, ModelHealth, ModelMemory, Version
from pyserve.web.answer.model_names import may_use
from pyserve.web.request.errors import error_response
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("health", tag="Server", needs_key=False)

CAN_ANSWER = ("ready", "unloaded", "unloading")


def _operation(name: str) -> Operation:
    return Operation(
        name=name,
        method="get",
        path=f"/{name}",
        summary="Health: can a model answer?",
        details="200 when one is ready, else 503 with the reason and the state of each model.",
        response=Health,
        example=lambda: Health("ok", [ModelHealth(examples.MODEL, "ready", 0, None)]),
        may_be_unavailable=True,
    )


@endpoint.view(*map(_operation, ("health", "healthz", "ready", "readyz", "ping")))
def health() -> Response:
    """200 when a model can answer, else 503 with the reason; both with the state of each model."""
    statuses = services().backend.models()
    models = [_state(status) for status in statuses if may_use(status.id)]
    if any(status.state in CAN_ANSWER for status in statuses):
        return json_reply(Health("ok", models))
    name, error = why_not_ready(statuses)
    # Asked every second while a model is loaded: worth no line in the log.
    return error_response(error, level=logging.DEBUG, status=name, models=models)


@endpoint.view(
    Operation(
        name="livez",
        method="get",
        path="/livez",
        summary="Liveness: does the front answer?",
        details="200 whatever state the models are in; `/ready` tells whether one can answer.",
        response=Health,
        example=lambda: Health("ok", []),
    )
)
def livez() -> Response:
    """200: who asks this gets an answer."""
    return json_reply(Health("ok", []))


@endpoint.view(
    Operation(
        name="version",
        method="get",
        path="/version",
        summary="The server's version",
        details="As vLLM has it.",
        response=Version,
        example=lambda: Version(__version__),
    )
)
def version() -> Response:
    return json_reply(Version(__version__))


def why_not_ready(statuses: Sequence[ModelStatus]) -> tuple[str, PyserveError]:
    """The server's state in one word, and the error that explains it."""
    if any(status.state == "loading" for status in statuses):
        return "loading model", ModelLoadingError("the model is being loaded", retry_after_s=1)
    for status in statuses:
        if status.error is not None:
            return "failed", ModelLoadError(f"model {status.id!r}: {status.error.message}")
    return "no model", ModelLoadError("no model is served")


def _state(status: ModelStatus) -> ModelHealth:
    error = None if status.error is None else status.error.message
    health = ModelHealth(
        status.id, status.state, status.n_restarts, error, kernel_falls=status.kernel_falls
    )
    info = status.info
    if info is None:
        return health
    return msgspec.structs.replace(
        health,
        n_threads=info.n_threads,
        n_threads_batch=info.n_threads_batch,
        memory=ModelMemory(info.size_bytes, info.kv_bytes, info.compute_bytes),
        kernels=info.kernels,
    )
