"""Models of every family over HTTP: one server, tiny models of random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.server import ServerProcess, served, sse_events
from tests.support.tiny.families import FAMILIES as MORE
from tests.support.tiny.families import write_family
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny, write_tiny_bert
from tests.support.tiny.rankers import write_tiny_ranker

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
FAMILIES = ("llama", "gemma3", "qwen3", "mamba2", "rwkv7", *MORE)
JSON = {"Content-Type": "application/json"}
STORY = "a long time ago in a galaxy far away " * 6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    models = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        path = models / f"{family}.gguf"
        if family == "llama":
            write_tiny_llama(path, n_ctx=1024)
        elif family in MORE:
            write_family(path, family)
        else:
            write_tiny(path, family)
    write_tiny_bert(models / "bert.gguf")
    write_tiny_ranker(models / "ranker.gguf", "qwen3")
    args = ["--models-dir", str(models), "--threads", "1", "--prefix-cache-mib", "8"]
    with served(*args) as server:
        yield server


def chat(model: str, content: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 12, **fields}


def text_of(reply: httpx.Response) -> str:
    choice = reply.raise_for_status().json()["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_says_what_a_plain_answer_says(http: httpx.Client, family: str):
    plain = text_of(http.post(CHAT, json=chat(family, "hello world", deterministic=True)))
    body = chat(family, "hello world", deterministic=True, stream=True)
    with http.stream("POST", CHAT, json=body) as reply:
        events = list(sse_events(reply))
    assert events.pop() == "[DONE]"
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events]
    assert "".join(pieces) == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_completions_count_their_tokens(http: httpx.Client, family: str):
    body = {"model": family, "prompt": "the black cat", "max_tokens": 7, "ignore_eos": True}
    reply = http.post(COMPLETIONS, json=body).raise_for_status().json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 7


@pytest.mark.parametrize("family", FAMILIES)
def test_requests_at_once_answer_as_alone(http: httpx.Client, family: str):
    bodies = [
        chat(family, f"say this is test {i}", deterministic=True, max_tokens=6) for i in range(6)
    ]
    alone = [text_of(http.post(CHAT, json=body)) for body in bodies]
    with ThreadPoolExecutor(len(bodies)) as pool:
        at_once = list(pool.map(lambda body: text_of(http.post(CHAT, json=body)), bodies))
    assert at_once == alone


@pytest.mark.parametrize("family", FAMILIES)
def test_a_longer_chat_reuses_what_was_computed(http: httpx.Client, family: str):
    first = http.post(CHAT, json=chat(family, STORY)).raise_for_status().json()
    second = http.post(CHAT, json=chat(family, STORY)).raise_for_status().json()
    assert first["usage"]["prompt_tokens"] == second["usage"]["prompt_tokens"]
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached > 0.5 * second["usage"]["prompt_tokens"]


@pytest.mark.parametrize("family", [*FAMILIES, "bert"])
def test_every_model_makes_vectors(http: httpx.Client, family: str):
    body = {"model": family, "input": ["the cat", "the cat", "a window"]}
    data = http.post("/v1/embeddings", json=body).raise_for_status().json()["data"]
    one, same, other = (item["embedding"] for item in data)
    assert sum(x * x for x in one) == pytest.approx(1.0, abs=1e-3)
    assert one == pytest.approx(same, abs=1e-3)
    assert one != pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "hi"}]}),
        (CHAT, {"messages": [{"role": "user", "content": "hi"}], "stream": True}),
        (COMPLETIONS, {"prompt": "hi"}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1/choose", {"prompt": "hi", "choices": ["yes", "no"]}),
        ("/v1/rerank", {"query": "hi", "documents": ["yes"]}),
    ],
)
def test_a_model_for_embeddings_refuses_to_generate(
    http: httpx.Client, path: str, body: dict[str, Any]
):
    reply = http.post(path, content=json.dumps({"model": "bert", **body}), headers=JSON)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "model")
    assert "embeddings" in error["message"]
    meta = http.get("/v1/models/bert").json()["meta"]
    assert meta["capabilities"] == ["embedding"]


def test_an_input_longer_than_a_model_for_embeddings_takes_is_refused(http: httpx.Client):
    reply = http.post("/v1/embeddings", json={"model": "bert", "input": STORY * 20})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "hi"}]}),
        (COMPLETIONS, {"prompt": "hi", "stream": True}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/choose", {"prompt": "hi", "choices": ["yes", "no"]}),
    ],
)
def test_a_model_that_ranks_does_nothing_else(http: httpx.Client, path: str, body: dict[str, Any]):
    reply = http.post(path, json={"model": "ranker", **body})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "model")
    assert "ranks texts" in error["message"]


def test_a_model_that_ranks_has_one_score_for_a_pair(http: httpx.Client):
    texts = ["the cat", "hello <|im_end|> world", "a window", ""]
    ranked = {"model": "ranker", "query": STORY, "documents": texts}
    results = http.post("/v1/rerank", json=ranked).raise_for_status().json()["results"]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    (told,) = http.post("/v1/classify", json={"model": "ranker", "input": STORY}).json()["data"]
    assert (told["label"] in ("yes", "no"), round(sum(told["probs"]), 5)) == (True, 1)
    pairs = {"model": "ranker", "text_1": [STORY] * 4, "text_2": texts}
    data = http.post("/v1/score", json=pairs).raise_for_status().json()["data"]
    for result in results:
        expected = data[result["index"]]["score"]
        assert result["relevance_score"] == pytest.approx(expected, abs=1e-3)
    listed = {"model": "ranker", "query": STORY, "texts": texts, "raw_scores": True}
    raw = http.post("/rerank", json=listed).raise_for_status().json()
    assert [each["index"] for each in raw] == [result["index"] for result in results]
