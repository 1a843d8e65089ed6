"""POST /v1/rerank and /v1/score over the fake engine, whose answers are equally probable.

The numbers of its ranking head count the tokens that come again in a pair.
"""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import error_of

RERANK = "/v1/rerank"
BODY = {"query": "what is red", "documents": ["a fox", {"text": "the sea"}, "a brick"]}
QUERY = "what is red"


@pytest.mark.parametrize(
    "path",
    ["/rerank", "/v1/rerank", "/v1/reranking", "/reranking", "/v2/rerank", "/v1/engines/x/rerank"],
)
def test_documents_have_scores(front, path):
    response = front.post(path, {**BODY, "model": "tiny"})
    assert response.status_code == 200, response.get_json()
    body = response.get_json()
    assert (body["object"], body["model"]) == ("list", "tiny")
    assert body["id"].startswith("rerank-")
    assert body["results"] == [{"index": i, "relevance_score": 0.5} for i in range(3)]
    n_tokens = sum(len(request.tokens) for request in front.core.requests[::2])
    assert body["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}


def test_each_document_is_asked_about_with_the_query(front):
    fields = {"top_n": 2, "return_documents": True, "method": "generate", "priority": 2}
    body = front.post(RERANK, {**BODY, **fields}).get_json()
    texts = [result["document"] for result in body["results"]]
    assert texts == [{"text": "a fox"}, {"text": "the sea"}]
    requests = front.core.requests
    assert len(requests) == 6
    for request, text in zip(requests[::2], ("a fox", "the sea", "a brick"), strict=True):
        prompt = front.engine.detokenize(request.tokens)
        assert "what is red" in prompt
        assert text in prompt
        assert request.priority == 2
    allowed = [front.engine.detokenize(each.sampling.allowed_token_ids) for each in requests]
    assert allowed == ["Yes", "No"] * 3


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["d"] * 1001}, "documents"),
        ({"documents": ["d", 5]}, "documents.1"),
        ({"documents": [{"title": "t"}]}, "documents.0.text"),
        ({"documents": ["d", {"a": "t"}], "rank_fields": ["b"]}, "documents.1"),
        ({"rank_fields": []}, "rank_fields"),
        ({"documents": None}, "documents"),
        ({"truncation_direction": "up"}, "truncation_direction"),
        ({"raw_scores": True, "use_activation": True}, "use_activation"),
        ({"query": "q" * 3000, "documents": ["d"] * 1000}, "query"),
        ({"documents": ["d" * 1100000] * 2}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"method": "embed"}, "method"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"truncation_side": "up"}, "truncation_side"),
    ],
)
def test_what_is_wrong_is_named(front, change, param):
    response = front.post(RERANK, BODY | change)
    assert response.status_code == 400
    assert error_of(response)["param"] == param
    assert not front.core.requests


def test_a_document_that_is_too_long_is_named(start):
    front = start(engine={"n_ctx": 100})
    response = front.post(RERANK, {"query": "q", "documents": ["short", "long " * 100]})
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, "documents.1")
    assert error["code"] == "context_length_exceeded"
    assert not front.core.requests


def test_more_documents_than_places_in_the_engine(start):
    front = start(FakeScript(), engine={"n_seq_max": 2, "n_queue_max": 1})
    body = front.post(RERANK, {"query": "q", "documents": [f"d{i}" for i in range(40)]}).get_json()
    assert [result["index"] for result in body["results"]] == list(range(40))


@pytest.fixture
def ranker(start):
    return start(n_ranks=1)


def test_a_ranking_head_scores_each_document(ranker):
    documents = ["what is red is a fox", "a red fox", {"title": "is it red", "year": 5}]
    fields = {"query": QUERY, "documents": documents, "rank_fields": ["title", "year"]}
    body = ranker.post(RERANK, {**fields, "raw_scores": True}).get_json()
    # words with the space before them are tokens, and the separator is there twice
    assert body["results"] == [
        {"index": 0, "relevance_score": 3.0},
        {"index": 2, "relevance_score": 1.0},
        {"index": 1, "relevance_score": 0.0},
    ]
    assert (
        ranker.engine.detokenize(ranker.core.requests[2].tokens[5:-1])
        == "title: is it red\nyear: 5"
    )


def test_teis_clients_get_a_list(ranker):
    body = {"query": QUERY, "texts": ["a red fox", "the sea is red"], "return_text": True}
    for path in ("/rerank", RERANK, "/reranking"):
        told = ranker.post(path, body).get_json()
        assert [each["index"] for each in told] == [1, 0]
        assert told[1] == {"index": 0, "score": 0.5, "text": "a red fox"}
    response = ranker.post("/v2/rerank", body)
    assert (response.status_code, error_of(response)["param"]) == (400, "documents")


def test_cohere_cuts_long_documents_and_others_are_asked(start):
    front = start(n_ranks=1, engine={"n_ctx": 16})
    body = {"query": "q", "documents": ["short", "long " * 40]}
    response = front.post(RERANK, body)
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, "documents.1")
    assert error["code"] == "context_length_exceeded"
    told = front.post("/v2/rerank", body).get_json()
    assert told["meta"]["warnings"] == ["documents.1 was cut"]
    assert front.post(RERANK, body | {"truncate": True}).status_code == 200
    assert front.post(RERANK, body | {"max_tokens_per_doc": 5}).status_code == 200
    assert [len(each.tokens) for each in front.core.requests] == [5, 16, 5, 16, 5, 9]


@pytest.mark.parametrize(
    "texts",
    [
        {"text_1": QUERY, "text_2": "a red fox"},
        {"queries": [QUERY], "documents": ["a red fox"]},
        {"queries": QUERY, "items": ["a red fox"]},
        {"data_1": QUERY, "data_2": ["a red fox"]},
    ],
)
@pytest.mark.parametrize("path", ["/score", "/v1/score", "/v1/engines/x/score"])
def test_a_pair_has_a_score(ranker, path, texts):
    body = ranker.post(path, {"model": "tiny", **texts}).get_json()
    assert body["data"] == [{"index": 0, "score": 0.5, "object": "score"}]
    assert (body["object"], body["model"]) == ("list", "tiny")
    n_tokens = len(ranker.core.requests[0].tokens)
    assert body["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}


def test_many_pairs_have_scores(ranker):
    firsts, seconds = ["a b c", "a d f"], ["x a b c", "x d"]
    for text_1, expected in (("a b c", [1.0, -1.0]), (firsts, [1.0, 0.0])):
        body = {"text_1": text_1, "text_2": seconds, "use_activation": False}
        told = ranker.post("/v1/score", body).get_json()["data"]
        assert [each["score"] for each in told] == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text_2": "b"}, "text_1"),
        ({"text_1": "a"}, "text_2"),
        ({"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "text_1"),
        ({"text_1": ["a", "b"], "text_2": "c"}, "text_1"),
        ({"text_1": [], "text_2": "c"}, "text_1"),
        ({"text_1": "a", "text_2": ["c", 1]}, "text_2.1"),
        ({"text_1": "a", "text_2": {"content": []}}, "text_2"),
        ({"text_1": "a", "queries": "b", "text_2": "c"}, "queries"),
        ({"text_1": "q" * 3000, "text_2": ["d"] * 1000}, "text_1"),
        ({"text_1": "a", "text_2": ["d"] * 1001}, "text_2"),
    ],
)
def test_what_is_wrong_with_pairs_is_named(ranker, body, param):
    response = ranker.post("/v1/score", body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
    assert not ranker.core.requests


def test_a_model_that_ranks_says_what_it_does_not_do(ranker):
    body = {"query": "q", "documents": ["d"], "method": "generate"}
    assert error_of(ranker.post(RERANK, body))["param"] == "method"
    body = {"prompt": "p", "choices": ["a", "b"]}
    assert error_of(ranker.post("/v1/choose", body))["param"] == "model"
    assert not ranker.core.requests
    model = ranker.client.get("/v1/models/tiny").get_json()
    assert model["meta"]["capabilities"] == ["rerank"]
