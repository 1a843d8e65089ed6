"""POST /api/embed, /api/embeddings: texts to engine requests, vectors to the response."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pyserve.engine.protocol import Engine, GenerateRequest
from pyserve.ollama.lines import Clock
from pyserve.openai.answer import Output
from pyserve.openai.context_limit import usable_context
from pyserve.openai.embeddings import EmbeddingAnswer, shortened, unpacked
from pyserve.openai.prompt_cut import PromptCut
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.ollama import OllamaEmbedRequest
from pyserve.schemas.validate import validate

N_ADDED = 8  # tokens around a text, of which each has a byte


class OllamaEmbeddings(msgspec.Struct, frozen=True, kw_only=True):
    """The vectors, each of length 1, in the order of the texts. Durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


class OllamaEmbedding(msgspec.Struct, frozen=True):
    """The vector of the text; none of no text."""

    embedding: list[float]


class EmbedAnswer:
    """Implements `Answer` for POST /api/embed. requests: as of `embed_requests`."""

    prompt_param = "input"
    grammar_param = ""

    def __init__(
        self, body: OllamaEmbedRequest, requests: list[GenerateRequest], clock: Clock
    ) -> None:
        self._body = body
        self._clock = clock
        self.requests = requests

    def response(self, outputs: Sequence[Output]) -> OllamaEmbeddings:
        n = self._body.dimensions
        vectors = [output.embedding for output in outputs]
        return OllamaEmbeddings(
            model=self._body.model,
            embeddings=[unpacked(shortened(each, n) if n else each) for each in vectors],
            total_duration=self._clock.total_ns,
            load_duration=self._clock.load_ns,
            prompt_eval_count=sum(output.finish.usage.n_prompt_tokens for output in outputs),
        )


class PromptEmbedAnswer(EmbedAnswer):
    """The same for POST /api/embeddings."""

    prompt_param = "prompt"

    def response(self, outputs: Sequence[Output]) -> OllamaEmbedding:  # type: ignore[override]
        return OllamaEmbedding(unpacked(outputs[0].embedding))


def embed_requests(body: OllamaEmbedRequest, engine: Engine) -> list[GenerateRequest]:
    """One for each text. REQUIRES: a text.

    Raises InvalidRequestError for more dimensions than the vectors have.
    """
    info = engine.info()
    data = {"model": body.model, "input": body.input, "dimensions": body.dimensions}
    requests = EmbeddingAnswer(validate(EmbeddingRequest, data), body.model, info).requests
    if body.truncate is False:
        return requests
    n_most = usable_context(engine, body.context_limit)
    n_most = min(n_most, info.n_pooled or n_most)
    return [cut_request(request, engine, n_most) for request in requests]


def cut_request(request: GenerateRequest, engine: Engine, n_max: int) -> GenerateRequest:
    """The request with as much of its text as fits `n_max` tokens.

    Tokens that the model wants at the end of every text stay there.
    """
    if len((request.prompt or "").encode()) + N_ADDED <= n_max:
        return request  # without asking
    tokens = PromptCut(n_max).of_text(engine, request.prompt or "")
    return msgspec.structs.replace(request, prompt=None, tokens=tokens)
