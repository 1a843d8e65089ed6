"""POST /api/pull, /api/copy, DELETE /api/delete; and what is not here: create, push, blobs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.models.download.remote import Pull, remote_pull
from pyserve.models.gallery import load_gallery
from pyserve.models.routing import LATEST
from pyserve.ollama import examples
from pyserve.ollama.errors import OLLAMA
from pyserve.ollama.pulling import SUCCESS, OllamaProgress, Tell, ToldLines
from pyserve.openai.document.operation import LINES, Operation
from pyserve.schemas.ollama import OllamaCopyRequest, OllamaDeleteRequest, OllamaPullRequest
from pyserve.web.answer.lines import error_line, line
from pyserve.web.answer.sse import event_reply, failure_of
from pyserve.web.answer.told import told
from pyserve.web.pulls.names import give_name, remove
from pyserve.web.pulls.pull import Place, pull_model
from pyserve.web.request.access import require_owner
from pyserve.web.request.body import read_body
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.notes import request_id
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import Services, services
from pyserve.web.request.wait_budget import HEADER

endpoint = Endpoint("ollama_files", tag="Ollama", errors=OLLAMA, is_below_v1=False)

ADMIN = "Needs an administrator's key; without keys the server must be on loopback."


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
    """Needs no Flask."""
    with Place():
        pull_model(get, parts, ToldLines(tell))
    tell(SUCCESS)


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
    remove(read_body(OllamaDeleteRequest).wanted.removesuffix(LATEST))
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
    give_name(body.source, body.destination.removesuffix(LATEST), "destination")
    return Response(status=200)


endpoint.not_built(
    "ollamaCreate", "/api/create", "create models: put GGUF files into its models directory"
)
endpoint.not_built("ollamaPush", "/api/push", "push models")
endpoint.not_built("ollamaBlob", "/api/blobs/{digest}", "take blobs")
endpoint.not_built("ollamaHasBlob", "/api/blobs/{digest}", "have blobs", method="head")
