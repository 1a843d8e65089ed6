"""`truncate_prompt_tokens` over HTTP: prompts that are cut, and what is said of them."""

from __future__ import annotations

import pytest

from tests.support.front import CHAT, COMPLETIONS, EMBEDDINGS, chat_body, error_of

CLASSIFY = "/v1/classify"
IDS = list(range(1, 9))


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, IDS[-4:]),
        ({"truncation_side": "left"}, IDS[-4:]),
        ({"truncation_side": "right"}, IDS[:4]),
    ],
)
def test_a_completion_continues_what_is_kept(front, fields, kept):
    asked = {"prompt": [IDS, [1, 2]], "truncate_prompt_tokens": 4, "return_token_ids": True}
    body = front.post(COMPLETIONS, {**asked, **fields, "max_tokens": 1}).get_json()
    assert [choice["prompt_token_ids"] for choice in body["choices"]] == [kept, [1, 2]]
    assert body["usage"]["prompt_tokens"] == 6
    assert [request.tokens for request in front.core.requests] == [kept, [1, 2]]


def test_an_echo_and_the_tokens_told_are_of_what_is_kept(front):
    asked = {"prompt": "one two three four", "truncate_prompt_tokens": 2}
    body = front.post(COMPLETIONS, {**asked, "echo": True, "max_tokens": 0}).get_json()
    assert body["choices"][0]["text"].split() == ["three", "four"]
    (told,) = front.post("/v1/completions/render", asked).get_json()
    assert told["token_ids"] == front.core.requests[0].tokens
    scored = {**asked, "prompt_logprobs": 0, "max_tokens": 1}
    (choice,) = front.post(COMPLETIONS, scored).get_json()["choices"]
    assert [list(at) if at else at for at in choice["prompt_logprobs"]] == [
        None,
        [str(told["token_ids"][1])],
    ]


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"return_token_ids": True}])
def test_a_chat_answers_what_is_kept(front, fields):
    body = chat_body("one two three four", max_tokens=1)
    whole = front.post("/v1/chat/completions/render", body).get_json()["token_ids"]
    for side, kept in (("left", whole[-4:]), ("right", whole[:4])):
        cut = {**body, "truncate_prompt_tokens": 4, "truncation_side": side}
        assert front.post(CHAT, {**cut, **fields}).status_code == 200
        assert front.core.requests[-1].tokens == kept
        told = front.post("/v1/chat/completions/render", cut).get_json()["token_ids"]
        assert told == kept


def test_minus_one_leaves_room_for_an_answer(start):
    front = start(engine={"n_ctx": 8})
    asked = {"prompt": [[5] * 50, [6]], "truncate_prompt_tokens": -1}
    assert front.post(COMPLETIONS, asked).status_code == 200
    assert [len(request.tokens) for request in front.core.requests] == [7, 1]
    response = front.post(CHAT, chat_body("x " * 50, truncate_prompt_tokens=-1))
    assert response.get_json()["usage"]["prompt_tokens"] == 7
    asked = {"input": [[5] * 50, "x " * 50], "truncate_prompt_tokens": -1}
    assert front.post(EMBEDDINGS, asked).get_json()["usage"]["prompt_tokens"] == 16


@pytest.mark.parametrize(
    ("fields", "kept"),
    [({}, IDS[:3]), ({"truncation_side": "left"}, IDS[-3:])],
)
def test_vectors_and_classes_are_of_what_is_kept(start, fields, kept):
    fields = {**fields, "truncate_prompt_tokens": 3}
    for path, front in ((EMBEDDINGS, start()), (CLASSIFY, start(n_ranks=3))):
        body = front.post(path, {"input": [IDS, [1]], **fields}).get_json()
        assert body["usage"]["prompt_tokens"] == 4
        assert [request.tokens for request in front.core.requests] == [kept, [1]]
    body = front.post(CLASSIFY, {"input": "one two three four five", **fields}).get_json()
    assert body["usage"]["prompt_tokens"] == 3


def test_texts_and_tokens_mixed_are_cut_as_one(front):
    body = {"input": [5, "one two", 6], "truncate_prompt_tokens": 3}
    assert front.post(EMBEDDINGS, body).get_json()["usage"]["prompt_tokens"] == 3
    assert front.core.requests[0].tokens[0] == 5


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/score", "/reranking"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_of_pairs_the_second_text_is_cut(start, path, side):
    front = start(n_ranks=1)
    texts = {
        "/v1/rerank": {"query": "q", "documents": ["one two three four", "one"]},
        "/v1/score": {"text_1": "q", "text_2": ["one two three four", "one"]},
        "/reranking": {"query": "q", "texts": ["one two three four", "one"]},
    }[path]
    fields = {"truncate_prompt_tokens": 6, "truncation_side": side}
    assert front.post(path, {**texts, **fields}).status_code == 200
    read = [front.engine.detokenize(request.tokens[3:-1]) for request in front.core.requests]
    assert [text.split() for text in read] == [
        ["three", "four"] if side == "left" else ["one", "two"],
        ["one"],
    ]


BODIES = {
    CHAT: chat_body(),
    COMPLETIONS: {"prompt": "p"},
    EMBEDDINGS: {"input": "i"},
    CLASSIFY: {"input": "i"},
    "/v1/rerank": {"query": "q", "documents": ["d"]},
    "/v1/score": {"text_1": "a", "text_2": "b"},
}


@pytest.mark.parametrize("path", BODIES)
def test_more_tokens_than_fit_are_refused(start, path):
    front = start(engine={"n_ctx": 500}, n_ranks=1 if path == CLASSIFY else 0)
    for value in (501, 2**62, 0, -2):
        response = front.post(path, {**BODIES[path], "truncate_prompt_tokens": value})
        error = error_of(response)
        assert (response.status_code, error["param"]) == (400, "truncate_prompt_tokens")
        assert f"{value:,}" in error["message"] or str(value) in error["message"]
    assert front.core.requests == []


def test_a_suffix_stands_alone(front):
    body = {"prompt": "p", "suffix": "s", "truncate_prompt_tokens": 5}
    response = front.post(COMPLETIONS, body)
    assert (response.status_code, error_of(response)["param"]) == (400, "suffix")
