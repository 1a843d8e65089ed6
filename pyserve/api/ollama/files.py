"""POST /api/pull, /api/copy, DELETE /api/delete; and what is not here: create, push, blobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.backend.protocol import ModelStatus
from pyserve.errors import InvalidRequestError, PermissionDeniedError, QueueFullError
from pyserve.models.copies import add_name, remove_name
from pyserve.models.download.pull import PullOptions
from pyserve.models.download.remote import Pull, remote_pull
from pyserve.models.fitting import this_machine
from pyserve.models.gallery import load_gallery
from pyserve.models.remove import remove_model
from pyserve.models.routing import LATEST, not_found
from pyserve.ollama import examples
from pyserve.ollama.errors import OLLAMA
from pyserve.ollama.pulling import (
    MANIFEST,
    SUCCESS,
    WRITING,
    OllamaProgress,
    Tell,
    ToldProgress,
    ToldText,
)
from pyserve.openai.document.operation import LINES, Operation
from pyserve.schemas.ollama import OllamaCopyRequest, OllamaDeleteRequest, OllamaPullRequest
from pyserve.web.answer.lines import error_line, line
from pyserve.web.answer.model_names import model_names, usable_models
from pyserve.web.answer.sse import event_reply, failure_of
from pyserve.web.answer.told import told
from pyserve.web.request.access import require_owner
from pyserve.web.request.body import read_body
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.notes import request_id
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import Services, services
from pyserve.web.request.wait_budget import HEADER, request_patience

endpoint = Endpoint("ollama_files", tag="Ollama", errors=OLLAMA, is_below_v1=False)

MAX_PULLS = 4
UNLOAD_S = 10.0
ADMIN = "Needs an administrator's key; without keys the server must be on loopback."

_pulls = threading.BoundedSemaphore(MAX_PULLS)


@endpoint.view(
    Operation(
        name="ollamaPull",
        method="post",
        path="/api/pull",
        summary="Get a model: of the gallery, the hub, or a URL",
        details=f"A stream of JSON lines, unless `stream` is false. {ADMIN}",
        request=OllamaPullRequest,
        body={**examples.NAMED, "stream": False},
        response=OllamaProgress,
        example=lambda: SUCCESS,
        stream_type=LINES,
        event_types=(OllamaProgress,),
        events=examples.pull,
    )
)
def pull() -> Response:
    require_owner()
    body = read_body(OllamaPullRequest)
    parts = services()
    get = remote_pull(body.wanted, load_gallery(), parts.config.pull_allow)
    work = partial(_pull, get, parts)
    progress = told(work, ClientWatch(request.environ), parts.keep_alive_s)
    if body.stream is False:
        *_, last = progress
        return json_reply(last)
    return event_reply(_lines(progress, request_id()), lambda: None, LINES)


def _pull(get: Pull, parts: Services, tell: Tell) -> None:
    """Get a model, and have it served if the server serves all that there is. Needs no Flask."""
    if not _pulls.acquire(blocking=False):
        raise QueueFullError(f"{MAX_PULLS} models are being got already", retry_after_s=10)
    try:
        tell(MANIFEST)
        machine = this_machine(parts.config.memory_limit_mib)
        show: Callable[..., ToldProgress] = partial(ToldProgress, tell)
        room = machine.room if machine.n_bytes else None
        get(PullOptions(_directory(parts), output=ToldText(tell), room=room, show=show))
        tell(WRITING)
        parts.backend.reload()
        if parts.config.models:
            named = "it is not served: this server serves the models that it was started with"
            tell(OllamaProgress(status=named))
        tell(SUCCESS)
    finally:
        _pulls.release()


def _lines(progress: Iterator[Any], shown_id: str) -> Iterator[bytes]:
    try:
        for told_one in progress:
            yield line(told_one)
    except Exception as error:
        yield error_line(failure_of(error, shown_id))


@endpoint.view(
    Operation(
        name="ollamaDelete",
        method="delete",
        path="/api/delete",
        summary="Remove a model's file, or a further name of a model",
        details=f"Only of the models directory, and when its requests have ended. {ADMIN}",
        headers={HEADER: "Seconds that the request may wait until the model is unloaded."},
        request=OllamaDeleteRequest,
        body=examples.NAMED,
        media_type="",
    )
)
def delete() -> Response:
    require_owner()
    name = read_body(OllamaDeleteRequest).wanted.removesuffix(LATEST)
    parts = services()
    directory = _own_directory(parts)
    if not remove_name(directory, name):
        status = _exact(name)
        path = Path(status.model_path)
        if status.parent is not None or path.parent != directory:
            message = f"{name!r} is no file of the models directory, and stays"
            raise PermissionDeniedError(message, param="model")
        parts.backend.unload(
            status.id,
            wait_s=request_patience().at_most(UNLOAD_S),
            on_wait=ClientWatch(request.environ).check,
        )
        remove_model(path.name, directory, load_gallery())
    parts.backend.reload()
    return Response(status=200)


@endpoint.view(
    Operation(
        name="ollamaCopy",
        method="post",
        path="/api/copy",
        summary="Give a model a further name",
        details=f"The name stays when the server is started again. {ADMIN}",
        request=OllamaCopyRequest,
        body=examples.COPY,
        media_type="",
    )
)
def copy() -> Response:
    require_owner()
    body = read_body(OllamaCopyRequest)
    parts = services()
    directory, name = _own_directory(parts), body.destination.removesuffix(LATEST)
    status = _exact(body.source)
    known = model_names(parts.config, usable_models()).find(name, with_patterns=False)
    if known is not None and not remove_name(directory, name):
        raise InvalidRequestError(f"{name!r} is a model already", param="destination")
    add_name(directory, name, status.id)
    parts.backend.reload()
    return Response(status=200)


def _exact(name: str) -> ModelStatus:
    """The model of that name, which no pattern stands for. Raises ModelNotFoundError."""
    statuses = usable_models()
    found = model_names(services().config, statuses).find(name, with_patterns=False)
    for status in statuses:
        if status.id == found:
            return status
    raise not_found(name, [status.id for status in statuses])


def _directory(parts: Services) -> Path:
    return parts.config.models_dir.expanduser().absolute()


def _own_directory(parts: Services) -> Path:
    """The models directory, of a server that serves what is in it."""
    if parts.config.models:
        message = "this server serves the models that it was started with: start it without names"
        raise InvalidRequestError(message, param="model")
    return _directory(parts)


endpoint.not_built(
    "ollamaCreate", "/api/create", "create models: put GGUF files into its models directory"
)
endpoint.not_built("ollamaPush", "/api/push", "push models")
endpoint.not_built("ollamaBlob", "/api/blobs/{digest}", "take blobs")
