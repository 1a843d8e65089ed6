"""POST /v1/rerank: documents sorted by how well they answer a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.openai.answer import Output
from pyserve.openai.embeddings import EmbeddingUsage
from pyserve.openai.ids import new_id
from pyserve.openai.ranking.prompts import Cut
from pyserve.openai.ranking.scores import PairScores, shown_scores
from pyserve.schemas.rerank import RerankRequest, TextRerankRequest

COHERE_TOKENS_PER_DOC = 4096
DOCUMENTS_PER_UNIT = 100


class Reranked(msgspec.Struct, frozen=True):
    """The score of one document, from 0 to 1; `index` is its place in the request."""

    index: int
    relevance_score: float
    document: dict[str, Any] | UnsetType = UNSET


class Reranking(msgspec.Struct, frozen=True, kw_only=True):
    """The documents, best first. usage: each prompt, with the query and one document."""

    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[Reranked]
    usage: EmbeddingUsage


class ApiVersion(msgspec.Struct, frozen=True):
    """Cohere's name of an API."""

    version: str


class BilledUnits(msgspec.Struct, frozen=True):
    """Cohere's measure: a query with up to 100 documents is one."""

    search_units: int


class RerankMeta(msgspec.Struct, frozen=True):
    """What Cohere's clients read beside the results. warnings: which documents were cut."""

    api_version: ApiVersion
    billed_units: BilledUnits
    warnings: list[str] | UnsetType = UNSET


class CohereReranking(Reranking, frozen=True, kw_only=True):
    """The same, as Cohere's second API tells it."""

    meta: RerankMeta


class TextRank(msgspec.Struct, frozen=True):
    """The score of one text, as TEI tells it."""

    index: int
    score: float
    text: str | UnsetType = UNSET


def document_cut(body: RerankRequest, *, is_cohere: bool) -> Cut:
    """What may be cut of documents: nothing unless it is said, or by Cohere's defaults."""
    if not is_cohere:
        return Cut(body.max_tokens_per_doc, bool(body.truncate), body.cuts_begin)
    n_tokens = body.max_tokens_per_doc or COHERE_TOKENS_PER_DOC
    return Cut(n_tokens, body.truncate is not False, body.cuts_begin)


class RerankAnswer:
    """Implements `Answer` for a rerank request. is_cohere: with what its second API tells."""

    prompt_param = "documents"
    grammar_param = ""

    def __init__(
        self, body: RerankRequest, model: str, scores: PairScores, *, is_cohere: bool = False
    ) -> None:
        self._body = body
        self._model = model
        self._scores = scores
        self._is_cohere = is_cohere
        self.requests = scores.requests

    def response(self, outputs: Sequence[Output]) -> Reranking:
        scores = shown_scores(self._scores.logits(outputs), raw=self._body.wants_raw)
        n_tokens = self._scores.n_prompt_tokens
        fields: dict[str, Any] = {
            "id": new_id("rerank"),
            "model": self._model,
            "results": [self._result(i, scores[i]) for i in _best(scores)[: self._body.top_n]],
            "usage": EmbeddingUsage(n_tokens, n_tokens),
        }
        return (
            CohereReranking(meta=self._meta(), **fields) if self._is_cohere else Reranking(**fields)
        )

    def _result(self, index: int, score: float) -> Reranked:
        if not self._body.return_documents:
            return Reranked(index, score)
        document = self._body.documents[index]
        shown = {"text": document} if isinstance(document, str) else document.fields
        return Reranked(index, score, shown)

    def _meta(self) -> RerankMeta:
        n_units = -(-len(self._body.documents) // DOCUMENTS_PER_UNIT)
        warnings = [f"{param} was cut" for param in self._scores.cut_params]
        return RerankMeta(ApiVersion("2"), BilledUnits(n_units), warnings or UNSET)


class TextRerankAnswer:
    """Implements `Answer` for a rerank request of TEI's clients."""

    prompt_param = "texts"
    grammar_param = ""

    def __init__(self, body: TextRerankRequest, scores: PairScores) -> None:
        self._body = body
        self._scores = scores
        self.requests = scores.requests

    def response(self, outputs: Sequence[Output]) -> list[TextRank]:
        scores = shown_scores(self._scores.logits(outputs), raw=self._body.wants_raw)
        texts = self._body.texts
        has_text = self._body.return_text
        best = _best(scores)[: self._body.top_n]
        return [TextRank(i, scores[i], texts[i] if has_text else UNSET) for i in best]


def _best(scores: Sequence[float]) -> list[int]:
    """The places of the scores, best first; ties keep their order."""
    return sorted(range(len(scores)), key=lambda i: -scores[i])
