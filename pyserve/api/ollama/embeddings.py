"""POST /api/embed, /api/embeddings."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.ollama import examples
from pyserve.ollama.embeddings import (
    EmbedAnswer,
    OllamaEmbedding,
    OllamaEmbeddings,
    PromptEmbedAnswer,
    embed_requests,
)
from pyserve.ollama.errors import OLLAMA
from pyserve.ollama.lines import Clock
from pyserve.openai.document.operation import Operation
from pyserve.schemas.ollama import OllamaEmbeddingsRequest, OllamaEmbedRequest
from pyserve.web.answer.generation import generate
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.target import choose_target
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

endpoint = Endpoint(
    "ollama_embed", tag="Ollama", usecase="embeddings", errors=OLLAMA, is_below_v1=False
)


@endpoint.view(
    Operation(
        name="ollamaEmbed",
        method="post",
        path="/api/embed",
        summary="Embed texts as vectors, by Ollama's API",
        details="The vectors are those of `/v1/embeddings`.",
        request=OllamaEmbedRequest,
        body=examples.EMBED,
        response=OllamaEmbeddings,
        example=examples.embed,
    )
)
def embed() -> Response:
    body = read_body(OllamaEmbedRequest)
    target = choose_target(body)
    clock = Clock()
    if not body.input:
        ask_engine(target, lambda _engine: None)
        return json_reply(OllamaEmbeddings(model=body.model, embeddings=[]))

    def answer(engine: Engine) -> EmbedAnswer:
        clock.loaded()
        return EmbedAnswer(body, embed_requests(body, engine), clock)

    return generate(target, answer)


@endpoint.view(
    Operation(
        name="ollamaEmbeddings",
        method="post",
        path="/api/embeddings",
        summary="Embed a text as a vector, by Ollama's older API",
        request=OllamaEmbeddingsRequest,
        body=examples.EMBEDDINGS,
        response=OllamaEmbedding,
        example=examples.embedding,
    )
)
def embeddings() -> Response:
    body = read_body(OllamaEmbeddingsRequest)
    target = choose_target(body)
    if not body.prompt:
        ask_engine(target, lambda _engine: None)
        return json_reply(OllamaEmbedding([]))
    asked = OllamaEmbedRequest(model=body.model, input=[body.prompt], options=body.options)
    return generate(
        target, lambda engine: PromptEmbedAnswer(asked, embed_requests(asked, engine), Clock())
    )
