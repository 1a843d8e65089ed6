"""POST /api/embed and /api/embeddings."""

from __future__ import annotations

import math

import pytest

EMBED, OLDER = "/api/embed", "/api/embeddings"


def test_texts_become_vectors(front):
    reply = front.post(EMBED, {"model": "tiny", "input": ["one text", "another"]}).get_json()
    assert len(reply["embeddings"]) == 2
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in reply["embeddings"])
    assert reply["model"] == "tiny"
    assert reply["prompt_eval_count"] == 3 + 2  # BOS
    assert reply["total_duration"] >= reply["load_duration"] > 0
    alone = front.post(EMBED, {"model": "tiny", "input": "one text"}).get_json()
    assert alone["embeddings"] == reply["embeddings"][:1]
    older = front.post(OLDER, {"model": "tiny", "prompt": "one text"}).get_json()
    assert older == {"embedding": alone["embeddings"][0]}


def test_dimensions_shorten_the_vectors(front):
    asked = {"model": "tiny", "input": "one text", "dimensions": 2}
    (vector,) = front.post(EMBED, asked).get_json()["embeddings"]
    assert len(vector) == 2
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


def test_no_text_is_no_vector(front):
    for fields in ({}, {"input": None}, {"input": ""}, {"input": []}):
        assert front.post(EMBED, {"model": "tiny", **fields}).get_json()["embeddings"] == []
    assert front.post(OLDER, {"model": "tiny"}).get_json() == {"embedding": []}


def test_a_long_text_is_cut_unless_it_is_to_be_refused(start):
    front = start(engine={"n_ctx": 8})
    asked = {"model": "tiny", "input": ["word " * 90, "short"]}
    refused = front.post(EMBED, {**asked, "truncate": False})
    assert (refused.status_code, set(refused.get_json())) == (400, {"error"})
    for fields in ({}, {"truncate": True}, {"options": {"num_ctx": 99}}):
        assert front.post(EMBED, {**asked, **fields}).get_json()["prompt_eval_count"] == 8 + 2
    older = {"model": "tiny", "prompt": "word " * 90}
    assert front.post(OLDER, older).status_code == 200
    few = {**asked, "options": {"num_ctx": 4}}
    assert front.post(EMBED, few).get_json()["prompt_eval_count"] == 4 + 2
    refused = front.post(EMBED, {**few, "truncate": False})
    assert "num_ctx" in refused.get_json()["error"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"input": [1]}, "input"),
        ({"input": [""]}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 10**6}, "dimensions"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_wrong_is_told_in_one_text(front, fields, word):
    response = front.post(EMBED, {"model": "tiny", "input": "x", **fields})
    assert response.status_code == 400, response.text
    assert word in response.get_json()["error"]
