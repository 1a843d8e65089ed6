from __future__ import annotations

import base64
import math
import struct

import pytest

from pyserve.engine.fake.model import N_EMBD, fake_embedding
from pyserve.openai.embeddings import shortened, unpacked
from tests.support.client import client_of
from tests.support.front import EMBEDDINGS, error_of


def vectors_of(response):
    assert response.status_code == 200, response.get_json()
    return [item["embedding"] for item in response.get_json()["data"]]


@pytest.mark.parametrize("path", [EMBEDDINGS, "/embeddings", "/v1/engines/tiny/embeddings"])
def test_a_text_becomes_a_vector(front, path):
    body = front.post(path, {"model": "x", "input": "one two", "user": "me"}).get_json()
    assert (body["object"], body["model"]) == ("list", "tiny")
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    (item,) = body["data"]
    assert (item["object"], item["index"]) == ("embedding", 0)
    assert item["embedding"] == unpacked(fake_embedding([0, 1, 2]))
    assert front.core.requests[0].wants_embedding


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (["one", "two three"], [[0, 1], [0, 2, 3]]),
        ([5, 6, 6], [[5, 6, 6]]),
        ([[5], [6, 7]], [[5], [6, 7]]),
    ],
)
def test_each_input_has_its_vector_in_order(front, value, tokens):
    response = front.post(EMBEDDINGS, {"input": value})
    assert vectors_of(response) == [unpacked(fake_embedding(ids)) for ids in tokens]
    assert response.get_json()["usage"]["total_tokens"] == sum(len(ids) for ids in tokens)


def test_more_inputs_than_places_in_the_engine(start):
    front = start(engine={"n_seq_max": 2, "n_queue_max": 1})
    values = [[i, i, i + 1] for i in range(1, 2049)]
    expected = [unpacked(fake_embedding(tokens)) for tokens in values]
    assert vectors_of(front.post(EMBEDDINGS, {"input": values})) == expected


def test_base64_are_the_same_numbers(front):
    (plain,) = vectors_of(front.post(EMBEDDINGS, {"input": "a b a"}))
    body = {"input": "a b a", "encoding_format": "base64"}
    (packed,) = vectors_of(front.post(EMBEDDINGS, body))
    assert list(struct.unpack(f"<{N_EMBD}f", base64.b64decode(packed))) == plain


def test_dimensions_shorten_and_keep_the_length(front):
    (whole,) = vectors_of(front.post(EMBEDDINGS, {"input": "a b c d e"}))
    (short,) = vectors_of(front.post(EMBEDDINGS, {"input": "a b c d e", "dimensions": 3}))
    assert len(short) == 3
    assert math.hypot(*short) == pytest.approx(1)
    assert short == pytest.approx([value / math.hypot(*whole[:3]) for value in whole[:3]])


def test_zeros_stay_zeros():
    assert shortened(struct.pack("<3f", 0, 0, 1), 2) == bytes(8)


@pytest.mark.parametrize(
    ("body", "param", "numbers"),
    [
        ({}, "input", ()),
        ({"input": ""}, "input", ()),
        ({"input": []}, "input", ()),
        ({"input": ["a", ""]}, "input.1", ()),
        ({"input": [[]]}, "input.0", ()),
        ({"input": [1, "a", None]}, "input.0.2", ()),
        ({"input": "a", "content": "b"}, "content", ()),
        ({"content": ["a", [10**6]]}, "content", ("1000000",)),
        ({"input": ["a"] * 2049}, "input", ("2048",)),
        ({"input": "ab" * 2**20 + "a"}, "input", ("2097153", "2097152")),
        ({"input": [32_000]}, "input", ("32000",)),
        ({"input": "a", "dimensions": 0}, "dimensions", ("0",)),
        ({"input": "a", "dimensions": N_EMBD + 1}, "dimensions", (str(N_EMBD), str(N_EMBD + 1))),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", ()),
    ],
)
def test_what_is_wrong_is_named(front, body, param, numbers):
    response = front.post(EMBEDDINGS, body)
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, param)
    assert all(number in error["message"].replace(",", "") for number in numbers)
    assert front.core.requests == []


def test_an_input_may_fill_the_context_and_no_more(start):
    front = start(engine={"n_ctx": 20})
    assert front.post(EMBEDDINGS, {"input": [1] * 20}).status_code == 200
    response = front.post(EMBEDDINGS, {"input": [[1], [1] * 21]})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "input"
    assert "21" in error["message"]
    assert "20" in error["message"]


def test_the_official_client(front):
    inputs = ["a b", "c"]
    with client_of(front, is_strict=True) as client:
        plain = client.embeddings.create(model="tiny", input=inputs, encoding_format="float")
    with client_of(front, is_strict=False) as client:  # it asks for what its types do not say
        packed = client.embeddings.create(model="tiny", input=inputs)
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert [item.index for item in packed.data] == [0, 1]
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 5


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"content": "one two"}, [[0, 1, 2]]),
        ({"input": ["one", "two"], "embd_normalize": 2}, [[0, 1], [0, 2]]),
        ({"content": [5, "one", 6]}, [[5, 1, 6]]),
        ({"content": ["one", [5], {"prompt_string": "two"}]}, [[0, 1], [5], [0, 2]]),
    ],
)
def test_llama_servers_own_way(front, body, tokens):
    told = front.post("/embedding", body).get_json()
    expected = [[unpacked(fake_embedding(ids))] for ids in tokens]
    assert told == [{"index": i, "embedding": each} for i, each in enumerate(expected)]
    assert vectors_of(front.post(EMBEDDINGS, body)) == [each for (each,) in expected]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"content": "x", "input": "y"}, "content"),
        ({"content": "x", "embd_normalize": -1}, "embd_normalize"),
        ({"content": "x", "dimensions": 2}, "dimensions"),
        ({"content": ["x", [10**6]]}, "content"),
        ({"content": {"content": "x"}}, "content"),
    ],
)
def test_llama_servers_own_way_is_checked(front, body, param):
    response = front.post("/embedding", body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
