"""POST /v1/embeddings: inputs to engine requests, vectors to the response."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from pyserve.engine.protocol import GenerateRequest, ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.openai.adapters import request_adapters
from pyserve.openai.answer import Output
from pyserve.openai.sampling import check_tokens
from pyserve.schemas.embeddings import EmbeddingRequest


class Embedding(msgspec.Struct, frozen=True):
    """The vector of one input: numbers, or the base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True):
    """Token counts of all inputs; both are the same."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, frozen=True):
    """The vectors, in the order of the inputs."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class NativeEmbedding(msgspec.Struct, frozen=True):
    """The vectors of one input, as llama-server tells them: of a pooled model there is one."""

    index: int
    embedding: list[list[float]]


class EmbeddingAnswer:
    """Implements `Answer` for an embeddings request.

    Raises InvalidRequestError for a token id or an adapter that the model does not have, and for
    more dimensions than its vectors have.
    """

    prompt_param = "input"
    grammar_param = ""

    def __init__(self, body: EmbeddingRequest, model: str, info: ModelInfo) -> None:
        if body.dimensions is not None and body.dimensions > info.n_embd:
            message = f"dimensions is {body.dimensions}, the model's vectors have {info.n_embd}"
            raise InvalidRequestError(message, param="dimensions")
        self._body = body
        self._model = model
        adapters = request_adapters(body.lora, info)
        self.requests = [_request(value, info, adapters) for value in body.inputs]

    def response(self, outputs: Sequence[Output]) -> Any:
        n_tokens = sum(output.finish.usage.n_prompt_tokens for output in outputs)
        data = [Embedding(i, self._shown(output.embedding)) for i, output in enumerate(outputs)]
        return Embeddings(data, self._model, EmbeddingUsage(n_tokens, n_tokens))

    def _shown(self, vector: bytes) -> list[float] | str:
        if self._body.dimensions is not None:
            vector = shortened(vector, self._body.dimensions)
        if self._body.encoding_format == "base64":
            return base64.b64encode(vector).decode()
        return unpacked(vector)


class NativeEmbeddingAnswer(EmbeddingAnswer):
    """The same, as llama-server's own endpoint answers it."""

    def response(self, outputs: Sequence[Output]) -> list[NativeEmbedding]:
        return [NativeEmbedding(i, [unpacked(out.embedding)]) for i, out in enumerate(outputs)]


def unpacked(vector: bytes) -> list[float]:
    """The numbers of a vector of little-endian float32."""
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def shortened(vector: bytes, n: int) -> bytes:
    """The first `n` numbers, normalized again. All zeros stay zeros."""
    numbers = unpacked(vector)[:n]
    length = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))


def _request(
    value: str | list[int], info: ModelInfo, adapters: dict[str, float] | None
) -> GenerateRequest:
    if isinstance(value, str):
        return GenerateRequest(prompt=value, adapters=adapters, wants_embedding=True)
    check_tokens(value, info, "input")
    return GenerateRequest(tokens=value, adapters=adapters, wants_embedding=True)
