from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from pyserve.engine.protocol import GenerateRequest
from pyserve.openai.answer import Output
from pyserve.openai.document.examples import INFO
from pyserve.openai.ranking.prompts import Cut
from pyserve.openai.ranking.rerank import RerankAnswer, TextRerankAnswer, document_cut
from pyserve.openai.ranking.score import ScoreAnswer
from pyserve.schemas.rerank import RerankRequest, TextRerankRequest
from pyserve.schemas.score import ScoreRequest

DOCUMENTS = ["a", {"text": "b", "url": "u"}, "c", "d"]


class Scores:
    """Implements `PairScores`: the log-odds are those it is made of."""

    def __init__(self, *logits: float, cut: Sequence[str] = ()) -> None:
        self.requests: list[GenerateRequest] = []
        self.n_prompt_tokens = 8
        self.cut_params = list(cut)
        self._logits = list(logits)

    def logits(self, _outputs: Sequence[Output]) -> list[float]:
        return self._logits


def rerank(scores: Scores, *, is_cohere: bool = False, **fields: Any) -> dict[str, Any]:
    body = RerankRequest.model_validate({"query": "q", "documents": DOCUMENTS, **fields})
    answer = RerankAnswer(body, "m", scores, is_cohere=is_cohere).response([])
    told: dict[str, Any] = msgspec.to_builtins(answer)
    return told


def test_the_best_document_is_first_and_ties_keep_their_order() -> None:
    results = rerank(Scores(-1.0, 2.0, 0.0, -1.0))["results"]
    assert [result["index"] for result in results] == [1, 2, 0, 3]
    scores = [result["relevance_score"] for result in results]
    assert scores == pytest.approx([0.880797, 0.5, 0.268941, 0.268941], abs=1e-6)


@pytest.mark.parametrize("fields", [{"raw_scores": True}, {"use_activation": False}])
def test_raw_scores_are_logits(fields: dict[str, Any]) -> None:
    results = rerank(Scores(-1000.0, 1000.0, 0.0, -1.0), **fields)["results"]
    assert [result["relevance_score"] for result in results] == [1000.0, 0.0, -1.0, -1000.0]


def test_no_logit_is_too_large() -> None:
    results = rerank(Scores(-1e4, 1e4, 0.0, -1.0))["results"]
    assert (results[0]["relevance_score"], results[-1]["relevance_score"]) == (1.0, 0.0)


def test_documents_come_back_as_they_were() -> None:
    results = rerank(Scores(0.0, 2.0, 0.0, -1.0), return_documents=True, top_n=2)["results"]
    assert [each["document"] for each in results] == [{"text": "b", "url": "u"}, {"text": "a"}]


def test_coheres_second_api_tells_more() -> None:
    told = rerank(Scores(1, 2, 3, 4, cut=["documents.2"]), is_cohere=True)
    units = {"search_units": 1}
    assert told["meta"] == {
        "api_version": {"version": "2"},
        "billed_units": units,
        "warnings": ["documents.2 was cut"],
    }
    assert "warnings" not in rerank(Scores(1, 2, 3, 4), is_cohere=True)["meta"]


def test_what_is_cut_is_said_but_to_cohere() -> None:
    body = RerankRequest.model_validate({"query": "q", "documents": ["d"]})
    assert document_cut(body, is_cohere=False) == Cut()
    assert document_cut(body, is_cohere=True) == Cut(4096, to_fit=True)
    limits = {"max_tokens_per_doc": 7, "truncate": False, "truncation_direction": "Left"}
    body = body.model_copy(update=limits)
    assert document_cut(body, is_cohere=True) == Cut(7, at_begin=True)


def test_teis_clients_get_a_list() -> None:
    fields = {"query": "q", "texts": ["a", "b"], "return_text": True, "raw_scores": True}
    body = TextRerankRequest.model_validate(fields)
    told = msgspec.to_builtins(TextRerankAnswer(body, Scores(1.0, 3.0)).response([]))
    assert told == [
        {"index": 1, "score": 3.0, "text": "b"},
        {"index": 0, "score": 1.0, "text": "a"},
    ]
    body = body.model_copy(update={"return_text": None, "raw_scores": None})
    told = msgspec.to_builtins(TextRerankAnswer(body, Scores(0.0, -1e9)).response([]))
    assert told == [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.0}]
    body = body.model_copy(update={"top_n": 1})
    told = msgspec.to_builtins(TextRerankAnswer(body, Scores(0.0, -1e9)).response([]))
    assert told == [{"index": 0, "score": 0.5}]


def test_scores_come_in_the_order_of_the_pairs() -> None:
    body = ScoreRequest.model_validate({"text_1": "q", "text_2": ["a", "b"]})
    told = msgspec.to_builtins(ScoreAnswer(body, "m", INFO, Scores(-1e9, 0.0)).response([]))
    assert told["id"].startswith("score-")
    assert told["data"] == [
        {"index": 0, "score": 0.0, "object": "score"},
        {"index": 1, "score": 0.5, "object": "score"},
    ]
    assert told["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
