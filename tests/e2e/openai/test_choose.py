"""POST /v1/choose on the default model, through HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.model


def choose(http: httpx.Client, **body: Any) -> dict[str, Any]:
    reply: dict[str, Any] = http.post("/v1/choose", json=body).raise_for_status().json()
    return reply


def test_the_choices_score_as_prompts_that_end_in_them(http: httpx.Client) -> None:
    prompt = "The capital of France is"
    choices = [" Paris", " banana", " in the middle of a bowl of soup", " 日本 \U0001f600"]
    told = choose(http, prompt=prompt, choices=choices)
    tokens = [
        http.post("/tokenize", json={"content": text}).json()["tokens"]
        for text in (prompt, *choices)
    ]
    prompts = [[*tokens[0], *choice] for choice in tokens[1:]]
    body = {"prompt": prompts, "max_tokens": 0, "echo": True, "logprobs": 0}
    scored = http.post("/v1/completions", json=body).raise_for_status().json()["choices"]
    for one, other in zip(told["choices"], scored, strict=True):
        each = other["logprobs"]["token_logprobs"][len(tokens[0]) :]
        # kernels add in another order
        assert one["logprob"] == pytest.approx(sum(each), abs=0.4 * len(each))
    assert told["usage"]["prompt_tokens"] == len(tokens[0])
    best = max(told["choices"], key=lambda choice: choice["probability"])
    assert best["text"] == " Paris"
    assert sum(choice["probability"] for choice in told["choices"]) == pytest.approx(1)


def test_a_chat_is_answered_by_one_of_the_choices(http: httpx.Client) -> None:
    question = "What is the capital of France? Answer with one word."
    messages = [{"role": "user", "content": question}]
    told = choose(http, messages=messages, choices=["Paris", "Rome", "Tuesday"])
    best = max(told["choices"], key=lambda choice: choice["probability"])
    assert best["text"] == "Paris"


def test_documents_are_sorted_by_their_scores(http: httpx.Client) -> None:
    documents = ["The market opens at nine.", "Foxes hunt mice and rabbits.", {"text": "x" * 300}]
    body = {"query": "What do foxes eat?", "documents": documents, "return_documents": True}
    told = http.post("/v1/rerank", json=body).raise_for_status().json()
    results = told["results"]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert sorted(result["index"] for result in results) == [0, 1, 2]
    long = {**body, "documents": ["short", "word " * 20000]}
    error = http.post("/v1/rerank", json=long).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "documents.1")
