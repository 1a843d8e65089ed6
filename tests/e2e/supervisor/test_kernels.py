"""A real model with every set of kernels that this machine can use, and with kernels that fail."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import DEFAULT_MODEL, TIMEOUT_S, MakeServer
from tests.support.kernels import chosen_kernels, usable_kernels
from tests.support.server import ServerProcess, sse_events

pytestmark = pytest.mark.model

N_TOKENS = 48
COUNTED = "1. 1\n2. 2\n3. 3\n4. 4\n5. 5\n6. 6\n"  # of whatever kernels
N_PRODUCTS = 3_000  # of some steps of the default model: each thread counts
SIGNALS = ("SIGILL", "SIGFPE", "SIGBUS")


def start(make_server: MakeServer, **environ: str) -> ServerProcess:
    settings = {"PYSERVE_KERNELS": "auto"} | environ
    return make_server([DEFAULT_MODEL, "--ctx-size", "1024"], env=settings).start()


def chat(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Count from one to ten."}]
    return {"messages": messages, "temperature": 0, "max_tokens": N_TOKENS, **fields}


def client_of(server: ServerProcess) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=TIMEOUT_S, trust_env=False)


def health_of(client: httpx.Client) -> dict[str, Any]:
    (model,) = client.get("/health").raise_for_status().json()["models"]
    return model


@pytest.mark.parametrize("kernels", usable_kernels())
def test_every_set_of_kernels_answers(make_server: MakeServer, kernels: str) -> None:
    with client_of(start(make_server, PYSERVE_KERNELS=kernels)) as client:
        reply = client.post("/v1/chat/completions", json=chat()).raise_for_status().json()
        assert reply["choices"][0]["message"]["content"].startswith(COUNTED)
        model = health_of(client)
        assert model["kernels"] == kernels
        assert model["kernel_falls"] == []
        line = f'pyserve_kernels{{kernels="{kernels}",model="{DEFAULT_MODEL}"}} 1.0'
        assert line in client.get("/metrics").text


def test_an_answer_goes_on_down_the_whole_ladder(make_server: MakeServer) -> None:
    *faulty, last = chosen_kernels()
    falls = [(kernels, SIGNALS[i % 3]) for i, kernels in enumerate(faulty)]
    faults = ",".join(f"{kernels}:{N_PRODUCTS}:{how}" for kernels, how in falls)
    server = start(make_server, PYSERVE_KERNEL_FAULTS=faults)
    text, usage = "", None
    wanted = chat(stream=True, stream_options={"include_usage": True}, ignore_eos=True)
    with client_of(server) as client:
        with client.stream("POST", "/v1/chat/completions", json=wanted) as response:
            for event in sse_events(response):
                assert "error" not in event, event
                if not isinstance(event, dict):
                    continue
                usage = event["usage"] or usage
                text += "".join(c["delta"].get("content") or "" for c in event["choices"])
        assert text.startswith(COUNTED)
        assert usage["completion_tokens"] == N_TOKENS
        model = health_of(client)
        assert model["state"] == "ready"
        assert model["kernels"] == last
        assert [(fall["kernels"], fall["reason"]) for fall in model["kernel_falls"]] == falls
        assert model["n_restarts"] == len(falls)
        metrics = client.get("/metrics").text
        for kernels, how in falls:
            labels = f'kernels="{kernels}",model="{DEFAULT_MODEL}",reason="{how}"'
            assert f"pyserve_kernel_falls_total{{{labels}}} 1.0" in metrics
            assert server.output().count(f"instead of {kernels}") == 1
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200


@pytest.mark.skipif(len(chosen_kernels()) < 2, reason="there is one set of kernels")
@pytest.mark.parametrize("how", ["SIGILL", "wrong", "SIGKILL"])
def test_kernels_that_fail_their_proof_are_not_used(make_server: MakeServer, how: str) -> None:
    best, second, *_ = chosen_kernels()
    server = start(make_server, PYSERVE_KERNEL_FAULTS=f"{best}:proof:{how}")
    with client_of(server) as client:
        reply = client.post("/v1/chat/completions", json=chat()).raise_for_status().json()
        assert reply["choices"][0]["message"]["content"].startswith(COUNTED)
        model = health_of(client)
        (fall,) = model["kernel_falls"]
        assert model["kernels"] == second
        assert fall["kernels"] == best
        assert fall["reason"].startswith("failed its proof: ")
        assert model["n_restarts"] == 0
        server.engine().kill()
        server.wait_healthy()
        assert client.post("/v1/chat/completions", json=chat()).status_code == 200
        assert health_of(client)["kernels"] == second
        assert server.output().count("failed its proof") == 1


def test_kernels_that_fail_while_a_model_is_loaded_are_left(make_server: MakeServer) -> None:
    *faulty, last = chosen_kernels()
    faults = ",".join(f"{kernels}:0:SIGILL" for kernels in faulty)
    with client_of(start(make_server, PYSERVE_KERNEL_FAULTS=faults)) as client:
        model = health_of(client)
        assert model["kernels"] == last
        assert [fall["kernels"] for fall in model["kernel_falls"]] == faulty
        reply = client.post("/v1/chat/completions", json=chat()).raise_for_status().json()
        assert reply["choices"][0]["message"]["content"].startswith(COUNTED)


def test_at_the_end_of_the_ladder_an_engine_keeps_crashing(make_server: MakeServer) -> None:
    faults = f"stock:{N_PRODUCTS}:SIGILL"
    server = start(make_server, PYSERVE_KERNELS="stock", PYSERVE_KERNEL_FAULTS=faults)
    with client_of(server) as client:
        for n in range(10):  # a look may come too late: it is started again after a while
            wanted = chat(max_tokens=200, ignore_eos=True, seed=n)
            reply = client.post("/v1/chat/completions", json=wanted)
            assert reply.status_code == 503 or reply.json()["error"]["code"] == "engine_error"
            health = client.get("/health")
            (model,) = health.json()["models"]
            if model["state"] == "failed":
                break
        assert health.status_code == 503
        assert model["state"] == "failed"
        assert "keeps crashing (SIGILL)" in model["error"]
        assert model["kernel_falls"] == []
