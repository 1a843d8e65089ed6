from __future__ import annotations

import httpx

from tests.support.limits import SOON_S
from tests.support.server import sse_events, wait_until

MESSAGES = [{"role": "user", "content": "one two three"}]


def chat(front, **fields):
    body = {"model": "m", "messages": MESSAGES} | fields
    return httpx.post(f"{front.url}/v1/chat/completions", json=body, timeout=SOON_S)


def said(front, content: str, *, on_first=lambda: None, **fields) -> str:
    """The text of a stream; `on_first` is called when it has begun."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": content}]}
    with httpx.stream(
        "POST", f"{front.url}/v1/chat/completions", json=body | fields, timeout=SOON_S
    ) as response:
        assert response.status_code == 200, response.read()
        events = []
        for event in sse_events(response):
            events.append(event)
            if len(events) == 3:
                on_first()
    assert events[-1] == "[DONE]"
    choices = [event["choices"][0] for event in events[:-1]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def models_of(front) -> list[str]:
    models = httpx.get(f"{front.url}/v1/models", timeout=SOON_S).json()["data"]
    return [model["id"] for model in models]


def test_models_are_deployed_asked_scaled_and_removed(nodes, front):
    assert nodes.run("status") == []
    (row,) = nodes.deploy("m", "--replicas", "2")
    assert (row["model"], row["state"], row["replicas"]) == ("m", "RUNNING", {"RUNNING": 2})
    front.wait_healthy()
    answer = chat(front).json()
    assert answer["choices"][0]["message"]["content"] == "one two three"
    assert said(front, "a b c") == "a b c"
    assert models_of(front) == ["m"]
    for _ in range(4):
        chat(front)
    assert len(nodes.engines()) == 2

    def page() -> str:
        return httpx.get(f"{front.url}/metrics", timeout=SOON_S).text

    assert 'pyserve_model_ready{model="m"} 1.0' in page()
    wait_until(lambda: page().count("pyserve_replica_ready{") == 2, SOON_S, "both are told")
    refused = httpx.post(f"{front.url}/models/unload", json={"model": "m"}, timeout=SOON_S)
    assert refused.status_code == 501
    assert "pyserve cluster scale m 0" in refused.json()["error"]["message"]
    for path in ("/models", "/api/pull"):
        pull = httpx.post(f"{front.url}{path}", json={"model": "gemma-3-270m"}, timeout=SOON_S)
        assert "pyserve cluster deploy" in pull.text
    (row,) = nodes.run("scale", "m", "1")
    assert row["replicas"] == {"RUNNING": 1}
    assert said(front, "d e f") == "d e f"
    assert nodes.run("scale", "m", "0")[0]["replicas"] == {}
    assert said(front, "g h i") == "g h i"
    assert nodes.run("status")[0]["replicas"] == {"RUNNING": 1}
    nodes.deploy("n")
    wait_until(lambda: chat(front, model="n").status_code == 200, SOON_S, "the new model answers")
    nodes.run("down", "m")
    wait_until(lambda: models_of(front) == ["n"], SOON_S, "the model is gone")
    assert said(front, "g h", model="n") == "g h"
    nodes.clear()


def test_a_file_says_what_runs_and_leaves_what_runs_as_it_says(nodes, tmp_path):
    path = tmp_path / "fleet.yaml"
    both = "engine: fake\nthreads: 1\nmodels:\n- {model: m, replicas: 2}\n- {model: n}\n"

    def replicas(text: str, *options: str) -> dict[str, dict[str, int]]:
        path.write_text(text)
        nodes.run("deploy", str(path), *options)
        return {row["model"]: row["replicas"] for row in nodes.run("status")}

    assert replicas(both) == {"m": {"RUNNING": 2}, "n": {"RUNNING": 1}}
    before = set(nodes.engines())
    assert replicas(both.replace("replicas: 2", "replicas: 3"))["m"] == {"RUNNING": 3}
    assert before < set(nodes.engines())
    alone = "engine: fake\nthreads: 1\nmodels:\n- {model: m, replicas: 1, parallel: 2}\n"
    assert replicas(alone)["n"] == {"RUNNING": 1}
    nodes.run("deploy", str(path), "--prune")
    wait_until(
        lambda: [row["model"] for row in nodes.run("status")] == ["m"],
        SOON_S,
        "the other has ended",
    )
    assert before.isdisjoint(nodes.engines())
    nodes.clear()
