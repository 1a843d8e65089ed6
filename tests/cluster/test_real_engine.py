"""The real engine in two replicas of one thread, behind two fronts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.cluster.nodes import RayNodes
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, short_dir, sse_events

DEFAULT_MODEL = "smollm2-135m-instruct"
ONE, TWO = "key-of-front-1", "key-of-front-2"
STORY = [{"role": "user", "content": "Tell a long story about a ship."}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def fronts(nodes: RayNodes) -> Iterator[list[ServerProcess]]:
    """Two fronts over two replicas."""
    options = ["--threads", "1", "--ctx-size", "1024", "--prefix-cache-disk-mib", "0"]
    nodes.run("deploy", DEFAULT_MODEL, "--replicas", "2", "--per-node", "1", *options)
    with contextlib.ExitStack() as stack:
        fronts = []
        for key in (ONE, TWO):
            directory = stack.enter_context(short_dir())
            args = ["--cluster", nodes.address, "--api-key", key]
            fronts.append(stack.enter_context(ServerProcess(directory, args)))
            fronts[-1].start()
        yield fronts
    nodes.clear()


def ask(front: ServerProcess, key: str, **fields: object) -> httpx.Response:
    body = {"model": DEFAULT_MODEL, "max_tokens": 16, "temperature": 0} | fields
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{front.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=SOON_S)


def test_fronts_have_keys_of_their_own_and_the_same_models(fronts):
    one, two = fronts
    assert ask(one, TWO, messages=STORY).status_code == 401
    texts = [
        ask(front, key, messages=STORY).json()["choices"][0]["message"]["content"]
        for front, key in ((one, ONE), (two, TWO))
    ]
    assert texts[0] == texts[1] != ""


def test_a_schema_is_kept_and_a_prompt_that_is_too_long_is_refused_with_its_numbers(fronts):
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA, "strict": True}}
    answer = ask(fronts[0], ONE, messages=STORY, response_format=form, max_tokens=64)
    person = json.loads(answer.json()["choices"][0]["message"]["content"])
    assert set(person) == {"name", "age"}
    refused = ask(fronts[1], TWO, messages=[{"role": "user", "content": "a b " * 2000}])
    assert refused.status_code == 400
    assert "the context holds 1024" in refused.json()["error"]["message"]


def test_a_deterministic_stream_is_the_same_although_its_engine_is_killed(nodes, fronts):
    front = fronts[0]
    body = {
        "model": DEFAULT_MODEL, "messages": STORY, "stream": True, "seed": 7, "temperature": 1,
        "max_tokens": 300, "ignore_eos": True, "deterministic": True,
    }  # fmt: skip

    def said(on_text) -> str:
        text = ""
        with httpx.stream(
            "POST",
            f"{front.url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {ONE}"},
            timeout=SOON_S,
        ) as response:
            assert response.status_code == 200, response.read()
            for event in sse_events(response):
                if event != "[DONE]" and event["choices"]:
                    text += event["choices"][0]["delta"].get("content") or ""
                    on_text(text)
        return text

    undisturbed = said(lambda _text: None)
    engines = nodes.engines()
    is_done = threading.Event()

    def kill_once(text: str) -> None:
        if len(text) > 40 and not is_done.is_set():
            is_done.set()
            ticks = {pid: cpu_ticks(pid) for pid in engines}
            os.kill(max(ticks, key=lambda pid: ticks[pid] - before[pid]), signal.SIGKILL)

    before = {pid: cpu_ticks(pid) for pid in engines}
    assert said(kill_once) == undisturbed
    assert set(nodes.engines()) != set(engines)
    assert front.output().count("an engine ended with 1 requests in work") == 1


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
