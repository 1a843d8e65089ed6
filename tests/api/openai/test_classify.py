"""POST /v1/classify over the fake engine, whose head counts the tokens that come again."""

from __future__ import annotations

import math

import pytest

from tests.support.front import Front, error_of

CLASSIFY = "/v1/classify"


def tokenized(front: Front, text: str) -> list[int]:
    return front.engine.tokenize(text, add_special=True, parse_special=False)


@pytest.mark.parametrize("path", ["/classify", CLASSIFY, "/v1/engines/x/classify"])
def test_texts_have_labels(start, path):
    front = start(n_ranks=3)
    response = front.post(path, {"model": "tiny", "input": ["a b a", "c"], "priority": 2})
    assert response.status_code == 200, response.text
    body = response.get_json()
    assert body["id"].startswith("classify-")
    assert (body["object"], body["model"]) == ("list", "tiny")
    for index, each in enumerate(body["data"]):
        assert (each["index"], each["num_classes"], len(each["probs"])) == (index, 3, 3)
        assert math.isclose(sum(each["probs"]), 1)
        assert each["label"] == f"LABEL_{each['probs'].index(max(each['probs']))}"
    n_tokens = body["usage"]["prompt_tokens"]
    assert body["usage"] == {
        "prompt_tokens": n_tokens,
        "total_tokens": n_tokens,
        "completion_tokens": 0,
    }
    tokens = [request.tokens for request in front.core.requests]
    assert tokens == [tokenized(front, text) for text in ("a b a", "c")]
    assert all(request.wants_ranks and request.priority == 2 for request in front.core.requests)


@pytest.mark.parametrize("name", ["use_activation", "activation"])
def test_logits_are_what_probabilities_are_made_of(start, name):
    front = start(n_ranks=3)
    asked = {"input": [[1, 2, 1], [3]]}
    raw = front.post(CLASSIFY, {**asked, name: False}).get_json()["data"]
    told = front.post(CLASSIFY, asked).get_json()["data"]
    for logits, each in zip(raw, told, strict=True):
        weights = [math.exp(logit) for logit in logits["probs"]]
        assert each["probs"] == pytest.approx([weight / sum(weights) for weight in weights])
        assert each["label"] == logits["label"]


def test_a_head_of_one_number_has_its_probability(start):
    front = start(n_ranks=1)
    (raw,) = front.post(CLASSIFY, {"input": "a a", "use_activation": False}).get_json()["data"]
    (told,) = front.post(CLASSIFY, {"input": "a a"}).get_json()["data"]
    assert told["probs"] == pytest.approx([1 / (1 + math.exp(-raw["probs"][0]))])
    assert (told["label"], told["num_classes"]) == ("LABEL_0", 1)


def test_a_model_without_a_head_says_so(front):
    response = front.post(CLASSIFY, {"input": "a"})
    assert (response.status_code, error_of(response)["param"]) == (400, "model")
    assert "no head" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, "a"]}, "input.1"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "x" * (2 << 20) + "x"}, "input"),
        ({"input": [10**9]}, "input"),
        ({"input": "a", "activation": True, "use_activation": False}, "activation"),
        ({"input": "a", "add_special_tokens": False}, "add_special_tokens"),
        ({"input": "a b c d e f g h i j k l m n o p q r"}, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_refused(start, body, param):
    front = start(n_ranks=2, engine={"n_ctx": 16})
    response = front.post(CLASSIFY, body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
