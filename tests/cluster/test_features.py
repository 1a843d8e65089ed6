"""What one machine does is done over a cluster, too: adapters, calls, deadlines, tenants.

The real engine with tiny models, in two replicas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bench.cluster.mixed import CITY, TOOL, TOOL_NAME, in_work
from bench.cluster.nodes import RayNodes
from tests.cluster.test_faults import is_connected
from tests.support.endless import ENDLESS, endless_answer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, short_dir, wait_until
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.lora import make_lora, write_lora

ALICE, BOB, CAROL = "key-of-alice", "key-of-bob", "key-of-carol"
KEYS = f"""
[[keys]]
name = "alice"
key = "{ALICE}"
tenant = "one"
admin = true

[[keys]]
name = "bob"
key = "{BOB}"
tenant = "one"

[[keys]]
name = "carol"
key = "{CAROL}"
models = ["tiny"]
"""
CHAT = "/v1/chat/completions"
N_ASKED = 8  # so many at once are spread over both replicas


@pytest.fixture(scope="module")
def front(nodes: RayNodes) -> Iterator[ServerProcess]:
    """A server over two replicas of a model with an adapter, connected with both."""
    with short_dir() as directory:
        base = write_tiny_llama(directory / "tiny.gguf", n_ctx=ENDLESS)
        lora = write_lora(directory / "lora.gguf", make_lora(base))
        nodes.run(
            "deploy", str(base), "--replicas", "2", "--per-node", "1", "--threads", "1",
            "--ctx-size", str(ENDLESS), "--models-dir", str(directory),
            "--lora", f"pirate={lora}:0", "--prefix-cache-disk-mib", "0",
        )  # fmt: skip
        keys = directory / "keys.toml"
        keys.write_text(KEYS)
        keys.chmod(0o600)
        args = ["--cluster", nodes.address, "--api-key-file", str(keys)]
        with ServerProcess(directory, args) as front:
            front.start()
            wait_until(lambda: all(map(is_connected, nodes.engines())), SOON_S, "both are reached")
            yield front
    nodes.clear()


def as_(key: str, front: ServerProcess) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=front.url, headers=headers, timeout=SOON_S, trust_env=False)


def chat(http: httpx.Client, **fields: Any) -> Any:
    body = {
        "model": "tiny",
        "temperature": 0,
        "max_tokens": 12,
        "messages": [{"role": "user", "content": "a long time ago"}],
    }
    response = http.post(CHAT, json=body | fields)
    assert response.status_code == httpx.codes.OK, response.text
    return response.json()


def texts(http: httpx.Client, **fields: Any) -> set[str]:
    """What several requests at the same time are answered."""
    with ThreadPoolExecutor(N_ASKED) as pool:
        answers = pool.map(lambda _: chat(http, **fields), range(N_ASKED))
        return {answer["choices"][0]["message"]["content"] for answer in answers}


def test_adapters_are_those_of_all_replicas(front: ServerProcess) -> None:
    with as_(ALICE, front) as http:
        (base,) = texts(http)
        (adapted,) = texts(http, model="pirate")
        assert adapted != base
        assert texts(http, lora=[{"name": "pirate", "scale": 1.0}]) == {adapted}
        assert texts(http, model="pirate", lora=[]) == {base}
        assert http.post("/lora-adapters", json=[{"id": 0, "scale": 1.0}]).is_success
        assert texts(http) == {adapted}
        assert http.post("/lora-adapters", json=[{"id": 0, "scale": 0.0}]).is_success
        assert texts(http) == {base}
    with as_(CAROL, front) as http:
        hidden = http.post(CHAT, json={"model": "pirate", "messages": []})
        assert hidden.status_code != httpx.codes.OK


def test_calls_and_schemas_are_kept(front: ServerProcess) -> None:
    with as_(ALICE, front) as http:
        answer = chat(http, tools=[TOOL], tool_choice="required", max_tokens=200, temperature=1)
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == TOOL_NAME
        assert set(json.loads(call["function"]["arguments"])) == {"city"}
        schema = {"name": "x", "schema": CITY | {"additionalProperties": False}, "strict": True}
        form = {"type": "json_schema", "json_schema": schema}
        answer = chat(http, response_format=form, max_tokens=200)
        assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"city"}


def test_a_deadline_ends_an_answer_in_its_replica(front: ServerProcess) -> None:
    with as_(ALICE, front) as http:
        http.headers["X-Request-Timeout"] = "1; whole"
        answer = chat(http, max_tokens=None, ignore_eos=True)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["total_tokens"] < ENDLESS
        wait_until(lambda: work_of(http) == 0, SOON_S, "nothing is left in the engines")


def work_of(http: httpx.Client) -> float:
    return in_work(str(http.base_url), dict(http.headers))


def test_prefixes_are_a_tenants_own(front: ServerProcess) -> None:
    story = [{"role": "user", "content": "say this is a test " * 40}]

    def n_cached(key: str) -> int:
        with as_(key, front) as http:
            usage = chat(http, messages=story)["usage"]
        return int(usage["prompt_tokens_details"]["cached_tokens"])

    n_same = 16  # all chats begin alike
    assert n_cached(ALICE) < n_same
    assert n_cached(BOB) > 10 * n_same
    assert n_cached(CAROL) < n_same
    assert n_cached(CAROL) > 10 * n_same


def test_a_client_that_leaves_frees_its_replica(front: ServerProcess) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "a long time ago"}]}
    with as_(ALICE, front) as http:
        with endless_answer(http, CHAT, body):
            wait_until(lambda: work_of(http) == 1, SOON_S, "it is counted")
        wait_until(lambda: work_of(http) == 0, SOON_S, "it is gone")
