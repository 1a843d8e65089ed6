"""POST /v1/rerank over the fake engine, whose answers are equally probable."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import error_of

RERANK = "/v1/rerank"
BODY = {"query": "what is red", "documents": ["a fox", {"text": "the sea"}, "a brick"]}


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
        ({"query": "q" * 3000, "documents": ["d"] * 1000}, "query"),
        ({"documents": ["d" * 1100000] * 2}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"method": "embed"}, "method"),
        ({"max_tokens_per_doc": 5}, "max_tokens_per_doc"),
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
