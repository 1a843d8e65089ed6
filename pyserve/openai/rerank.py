"""POST /v1/rerank: documents sorted by how probably a chat model says that they help."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Engine, ModelInfo
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.adapters import request_adapters
from pyserve.openai.answer import Output
from pyserve.openai.embeddings import EmbeddingUsage
from pyserve.openai.ids import new_id
from pyserve.openai.scheduling import scheduling
from pyserve.openai.scoring import Scoring, answer_texts, chat_prompt, check_generates, softmax
from pyserve.schemas.rerank import RerankRequest

SYSTEM_MESSAGE = (
    "You judge what a search has found. Say Yes if the document helps to answer the query, else No."
)
ANSWERS = ("Yes", "No")


class RerankedText(msgspec.Struct, frozen=True):
    """A document."""

    text: str


class Reranked(msgspec.Struct, frozen=True):
    """The score of one document, from 0 to 1; `index` is its place in the request."""

    index: int
    relevance_score: float
    document: RerankedText | UnsetType = UNSET


class Reranking(msgspec.Struct, frozen=True, kw_only=True):
    """The documents, best first. usage: each prompt, with the query and one document."""

    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[Reranked]
    usage: EmbeddingUsage


class RerankAnswer:
    """Implements `Answer` for a rerank request. A score is P(Yes) / (P(Yes) + P(No)).

    prompts: the tokens of the prompt of each document. answers: those of ANSWERS.
    Raises as `Scoring`, naming the document, and InvalidRequestError for an adapter that the model
    does not have.
    """

    prompt_param = "documents"
    grammar_param = ""

    def __init__(
        self,
        body: RerankRequest,
        model: str,
        info: ModelInfo,
        prompts: Sequence[list[int]],
        answers: Sequence[list[int]],
    ) -> None:
        self._body = body
        self._model = model
        rest = {"adapters": request_adapters(body.lora, info), **scheduling(body)}
        self._scorings = [
            Scoring(prompt, answers, info, ("answers", f"documents.{i}"), **rest)
            for i, prompt in enumerate(prompts)
        ]
        self._n_prompt_tokens = sum(len(prompt) for prompt in prompts)
        self.requests = [each for scoring in self._scorings for each in scoring.requests]

    def response(self, outputs: Sequence[Output]) -> Reranking:
        left = iter(outputs)
        scores = []
        for scoring in self._scorings:
            own = list(itertools.islice(left, len(scoring.requests)))
            yes, _ = softmax(scoring.logprobs(own))
            scores.append(yes)
        best = sorted(range(len(scores)), key=lambda i: -scores[i])[: self._body.top_n]
        return Reranking(
            id=new_id("rerank"),
            model=self._model,
            results=[self._result(i, scores[i]) for i in best],
            usage=EmbeddingUsage(self._n_prompt_tokens, self._n_prompt_tokens),
        )

    def _result(self, index: int, score: float) -> Reranked:
        has_text = self._body.return_documents
        text = RerankedText(self._body.texts[index]) if has_text else UNSET
        return Reranked(index, score, text)


def rerank_messages(query: str, document: str) -> list[dict[str, str]]:
    """The conversation that asks about one document; what all share stands first."""
    question = "Does the document help to answer the query? Answer Yes or No."
    task = f"Query: {query}\n\nDocument: {document}\n\n{question}"
    return [{"role": "system", "content": SYSTEM_MESSAGE}, {"role": "user", "content": task}]


def rerank_prompts(
    engine: Engine, body: RerankRequest, profile: ModelProfile = PLAIN
) -> tuple[list[list[int]], list[list[int]]]:
    """The tokens of the prompt of each document, and of the two answers.

    Raises InvalidRequestError for a model that does not generate.
    """
    check_generates(engine.info())
    prompts = [
        chat_prompt(engine, rerank_messages(body.query, text), profile) for text in body.texts
    ]
    return prompts, answer_texts(engine, ANSWERS)
