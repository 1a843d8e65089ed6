"""OpenAPI operations of all endpoints: parameters, bodies, responses, examples."""

from __future__ import annotations

from dataclasses import replace

from pyserve import __version__
from pyserve.openai.chat.objects import ChatChunk, ChatCompletion
from pyserve.openai.completions.completions import Completion
from pyserve.openai.document import examples
from pyserve.openai.document.adapter_operations import ADAPTERS
from pyserve.openai.document.operation import Operation
from pyserve.openai.document.token_operations import TOKENS
from pyserve.openai.edits import Edit
from pyserve.openai.embeddings import Embeddings
from pyserve.openai.responses.events import (
    ArgumentsDelta,
    ArgumentsDone,
    ItemEvent,
    PartEvent,
    ResponseEvent,
    TextDelta,
    TextDone,
)
from pyserve.openai.responses.objects import Response
from pyserve.openai.server.about import About, Health, ModelHealth
from pyserve.openai.server.models import Model, ModelAction, ModelList, Props, model_props
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.models import LoadRequest, UnloadRequest
from pyserve.schemas.responses import ResponseRequest

GENERATING = (
    Operation(
        name="createChatCompletion",
        method="post",
        path="/chat/completions",
        tag="Text",
        summary="Answer a conversation",
        details="The prompt is made by the model's chat template. Streams end with `data: [DONE]`.",
        request=ChatRequest,
        body=examples.CHAT,
        response=ChatCompletion,
        example=lambda: examples.chat().plain(),
        event_types=(ChatChunk,),
        events=lambda: examples.chat().streamed(),
    ),
    Operation(
        name="createCompletion",
        method="post",
        path="/completions",
        tag="Text",
        summary="Continue a text",
        details="No template is used. Streams end with `data: [DONE]`.",
        request=CompletionRequest,
        body=examples.COMPLETION,
        response=Completion,
        example=lambda: examples.completion().plain(),
        event_types=(Completion,),
        events=lambda: examples.completion().streamed(),
    ),
    Operation(
        name="createEdit",
        method="post",
        path="/edits",
        tag="Text",
        summary="Edit a text by an instruction",
        request=EditRequest,
        body=examples.EDIT,
        response=Edit,
        example=lambda: examples.edit().plain(),
    ),
    Operation(
        name="createEmbedding",
        method="post",
        path="/embeddings",
        tag="Text",
        summary="Embed texts as vectors",
        details="Pooled as the model file says, else by the mean of all tokens; normalized.",
        request=EmbeddingRequest,
        body=examples.EMBEDDING,
        response=Embeddings,
        example=lambda: examples.embedding().plain(),
    ),
    Operation(
        name="createResponse",
        method="post",
        path="/responses",
        tag="Text",
        summary="Answer a conversation, by the Responses API",
        details="Nothing is stored. Streams are typed events with `event:` lines, and no `[DONE]`.",
        request=ResponseRequest,
        body=examples.RESPONSE,
        response=Response,
        example=lambda: examples.response().plain(),
        event_types=(
            ResponseEvent,
            ItemEvent,
            PartEvent,
            TextDelta,
            TextDone,
            ArgumentsDelta,
            ArgumentsDone,
        ),
        events=lambda: examples.response().streamed(),
    ),
)


def _health(path: str, name: str) -> Operation:
    return Operation(
        name=name,
        method="get",
        path=path,
        tag="Server",
        summary="Health: can a model answer?",
        details="200 when one is ready, else 503 with the reason and the state of each model.",
        response=Health,
        example=lambda: Health("ok", [ModelHealth(examples.MODEL, "ready", 0, None)]),
        may_be_unavailable=True,
    )


READING = (
    Operation(
        name="listModels",
        method="get",
        path="/models",
        tag="Models",
        summary="All served models",
        query={
            "filter": "A regular expression: only models whose id it finds.",
            "excludeConfigured": "false: also the files of models, under their own names.",
        },
        response=ModelList,
        example=lambda: ModelList(data=[examples.model()]),
    ),
    Operation(
        name="retrieveModel",
        method="get",
        path="/models/{model_id}",
        tag="Models",
        summary="One served model",
        response=Model,
        example=examples.model,
    ),
    Operation(
        name="loadModel",
        method="post",
        path="/models/load",
        tag="Models",
        summary="Load a model",
        details="Unloads idle models to make room. Needs an administrator's key, if keys are set.",
        request=LoadRequest,
        body={"model": examples.MODEL},
        response=ModelAction,
        example=lambda: ModelAction(success=True, model=examples.MODEL),
    ),
    Operation(
        name="unloadModel",
        method="post",
        path="/models/unload",
        tag="Models",
        summary="Unload a model when its running requests have ended",
        details="A request for it loads it again. Needs an administrator's key, if keys are set.",
        request=UnloadRequest,
        body={"model": examples.MODEL},
        response=ModelAction,
        example=lambda: ModelAction(success=True, model=examples.MODEL),
    ),
    Operation(
        name="reloadModels",
        method="post",
        path="/models/reload",
        tag="Models",
        summary="Read the configuration of the models again",
        details="Unchanged models keep running. Needs an administrator's key, if keys are set.",
        response=ModelList,
        example=lambda: ModelList(data=[examples.model()]),
    ),
    *ADAPTERS,
    Operation(
        name="props",
        method="get",
        path="/props",
        tag="Models",
        summary="The context and the defaults of a model",
        details="The same as in llama-server.",
        query={"model": "The model, if several are served."},
        response=Props,
        example=lambda: model_props(examples.MODEL, examples.INFO),
        may_be_unavailable=True,
    ),
    _health("/health", "health"),
    _health("/healthz", "healthz"),
    _health("/ready", "ready"),
    _health("/readyz", "readyz"),
    Operation(
        name="metrics",
        method="get",
        path="/metrics",
        tag="Server",
        summary="Metrics for Prometheus",
        details="llama-server's names, summed over the models, and our own.",
        media_type="text/plain",
    ),
    Operation(
        name="about",
        method="get",
        path="/",
        tag="Server",
        summary="The server, its models and endpoints",
        details="With `Accept: text/html`, as browsers send it: the chat page.",
        response=About,
        example=lambda: About("pyserve", __version__, [examples.MODEL], endpoints()),
    ),
    Operation(
        name="openapi",
        method="get",
        path="/openapi.json",
        tag="Server",
        summary="This document",
    ),
    Operation(
        name="docs",
        method="get",
        path="/docs",
        tag="Server",
        summary="This document as a page",
        media_type="text/html",
    ),
    Operation(
        name="asset",
        method="get",
        path="/ui/{name}",
        tag="Server",
        summary="A static file of the pages",
        media_type="*/*",
    ),
)


def operations() -> list[Operation]:
    """All endpoints; those that generate text also with the model in the path."""
    by_path = [
        replace(
            operation,
            name=f"{operation.name}OfModel",
            path=f"/engines/{{model}}{operation.path}",
            tag="Text, with the model in the path",
        )
        for operation in GENERATING
    ]
    return [*GENERATING, *TOKENS, *READING, *by_path]


def endpoints() -> list[str]:
    """One line for each main endpoint, for GET /."""
    return [f"{op.method.upper()} /v1{op.path}" for op in [*GENERATING, *TOKENS, *READING[:2]]]
