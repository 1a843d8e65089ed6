"""POST /v1/score: the scores of pairs of texts, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pyserve.engine.protocol import ModelInfo
from pyserve.openai.answer import Head, Output, new_head
from pyserve.openai.embeddings import EmbeddingUsage
from pyserve.openai.ranking.scores import PairScores, shown_scores
from pyserve.schemas.score import ScoreRequest


class PairScore(msgspec.Struct, frozen=True):
    """The score of one pair, from 0 to 1; `index` is its place in the request."""

    index: int
    score: float
    object: Literal["score"] = "score"


class Scored(Head, frozen=True, kw_only=True):
    """The scores, in the order of the pairs. usage: each prompt, with both texts."""

    object: Literal["list"] = "list"
    data: list[PairScore]
    usage: EmbeddingUsage


class ScoreAnswer:
    """Implements `Answer` for a score request."""

    prompt_param = "text_2"
    grammar_param = ""

    def __init__(self, body: ScoreRequest, model: str, info: ModelInfo, scores: PairScores) -> None:
        self._body = body
        self._scores = scores
        self._head = new_head("score", model, info)
        self.requests = scores.requests

    def response(self, outputs: Sequence[Output]) -> Scored:
        scores = shown_scores(self._scores.logits(outputs), raw=self._body.wants_raw)
        n_tokens = self._scores.n_prompt_tokens
        return Scored(
            **msgspec.structs.asdict(self._head),
            data=[PairScore(i, score) for i, score in enumerate(scores)],
            usage=EmbeddingUsage(n_tokens, n_tokens),
        )
