"""POST /v1/embeddings, and llama-server's own POST /embedding."""

from __future__ import annotations

from typing import TypeVar

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.embeddings import (
    EmbeddingAnswer,
    Embeddings,
    NativeEmbedding,
    NativeEmbeddingAnswer,
)
from pyserve.openai.prompt_cut import cut_inputs, pooled_cut
from pyserve.openai.server.tokens import tokenize_mixed
from pyserve.schemas.embeddings import EmbeddingRequest, NativeEmbeddingRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.target import Target, choose_target
from pyserve.web.request.body import read_body

B = TypeVar("B", bound=EmbeddingRequest)

endpoint = Endpoint("embeddings", tag="Text", usecase="embeddings")
native = Endpoint("native_embeddings", tag="llama-server", usecase="embeddings", is_below_v1=False)


@endpoint.view(
    Operation(
        name="createEmbedding",
        method="post",
        path="/embeddings",
        summary="Embed texts as vectors",
        details="Pooled as the model file says, else by the mean of all tokens; normalized.",
        request=EmbeddingRequest,
        body=examples.EMBEDDING,
        response=Embeddings,
        example=lambda: examples.embedding().plain(),
    )
)
def create(model: str | None = None) -> Response:
    body = read_body(EmbeddingRequest)
    target = choose_target(body, model)

    def answer(engine: Engine) -> EmbeddingAnswer:
        return EmbeddingAnswer(_plain(engine, body, target), target.model_id, engine.info())

    return generate(target, answer)


@native.view(
    Operation(
        name="nativeEmbedding",
        method="post",
        path="/embedding",
        summary="Embed texts as vectors, by llama-server's own API",
        details="The vectors are those of `/v1/embeddings`; each input has a list of them, of one.",
        request=NativeEmbeddingRequest,
        body=examples.NATIVE_EMBEDDING,
        response=NativeEmbedding,
        is_list=True,
        example=lambda: examples.native_embedding().plain(),
    )
)
def create_native() -> Response:
    body = read_body(NativeEmbeddingRequest)
    target = choose_target(body)

    def answer(engine: Engine) -> NativeEmbeddingAnswer:
        return NativeEmbeddingAnswer(_plain(engine, body, target), target.model_id, engine.info())

    return generate(target, answer)


def _plain(engine: Engine, body: B, target: Target) -> B:
    """The request with token ids in place of texts and ids mixed, and of what is cut."""
    cut = pooled_cut(body, engine.info(), target.n_ctx)
    if body.mixed is not None:
        tokens = tokenize_mixed(engine, body.mixed, parse_special=True, param=body.input_param)
        body = body.model_copy(update={"input": tokens})
    if cut is None:
        return body
    return body.model_copy(update={"input": cut_inputs(engine, body.inputs, cut)})
