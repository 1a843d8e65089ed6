"""Several models in one server that has room for fewer: real engines, tiny models."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.endless import ENDLESS, endless_answer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, is_alive, sse_events, wait_until
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny

CHAT = "/v1/chat/completions"
N_ROUNDS = 8


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    write_tiny_llama(tmp_path / "llama.gguf", n_ctx=512)
    write_tiny(tmp_path / "gemma3.gguf", "gemma3", n_ctx=512)
    write_tiny(tmp_path / "rwkv7.gguf", "rwkv7", n_ctx=512)
    return tmp_path


@pytest.fixture
def server(make_server: MakeServer, models_dir: Path) -> ServerProcess:
    args = ["--models-dir", str(models_dir), "--max-loaded-models", "2", "--threads", "1"]
    args += ["--ctx-size", str(ENDLESS), "--prefix-cache-mib", "8"]
    return make_server(args).start()


def body(model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"say this is a test of {model}"}]
    return {"model": model, "messages": messages, "max_tokens": 8, "temperature": 0, **fields}


def states(http: httpx.Client) -> dict[str, str]:
    models = http.get("/models").raise_for_status().json()["data"]
    return {model["id"]: model["meta"]["state"] for model in models}


def engine_of(server: ServerProcess, model: str) -> Any:
    return next(p for p in server.find("pyserve.engine.main") if model in " ".join(p.cmdline()))


def test_models_of_a_directory_are_loaded_when_they_are_asked_for(server, http):
    assert set(states(http).values()) == {"unloaded"}
    assert http.get("/health").status_code == 200
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: http.post(CHAT, json=body("llama")), range(4)))
    assert {reply.status_code for reply in replies} == {200}
    assert states(http) == {"gemma3": "unloaded", "llama": "ready", "rwkv7": "unloaded"}
    assert len(server.find("pyserve.engine.main")) == 1


def test_mixed_traffic_with_room_for_two_of_three_fails_no_request(http):
    models = ("llama", "gemma3", "rwkv7")

    def ask(worker: int) -> list[int]:
        return [request(worker, turn) for turn in range(N_ROUNDS)]

    def request(worker: int, turn: int) -> int:
        model = models[(worker * turn + worker) % 3]
        if turn % 2:
            with http.stream("POST", CHAT, json=body(model, stream=True)) as reply:
                events = list(sse_events(reply))
                return reply.status_code if events[-1] == "[DONE]" else 0
        return http.post(CHAT, json=body(model)).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = [status for result in pool.map(ask, range(6)) for status in result]
    assert statuses == [200] * 6 * N_ROUNDS
    assert sorted(states(http).values()).count("ready") == 2


def test_a_stream_keeps_its_model_while_others_come_and_go(http):
    with endless_answer(http, CHAT, body("llama")) as answer:
        for model in ("gemma3", "rwkv7", "gemma3"):
            assert http.post(CHAT, json=body(model)).status_code == 200
        assert answer.is_running


def test_unloading_ends_the_process_and_loading_brings_it_back(server, http):
    assert http.post("/models/load", json={"model": "llama"}).json()["success"]
    assert states(http)["llama"] == "ready"
    before = http.post(CHAT, json=body("llama")).json()["choices"]
    process = engine_of(server, "llama")
    assert http.post("/models/unload", json={"model": "llama"}).json()["success"]
    assert states(http)["llama"] == "unloaded"
    assert not is_alive(process)
    assert http.post(CHAT, json=body("llama")).json()["choices"] == before


def test_unloading_waits_for_a_stream_unless_it_is_forced(http):
    def unload(**fields: bool) -> int:
        return http.post("/models/unload", json={"model": "llama", **fields}).status_code

    with ThreadPoolExecutor(1) as pool:
        with endless_answer(http, CHAT, body("llama")) as answer:
            waiting = pool.submit(unload)
            assert http.post(CHAT, json=body("gemma3")).status_code == 200
            assert answer.is_running
            assert not waiting.done()
        assert waiting.result(SOON_S) == 200
    with endless_answer(http, CHAT, body("llama")) as answer:
        assert unload(force=True) == 200
        end = answer.end()
    assert json.loads(end.removeprefix("data: "))["error"]["code"] == "engine_restarted"


def test_keep_alive_0_unloads_after_the_request(http):
    assert http.post(CHAT, json=body("llama", keep_alive=0)).status_code == 200
    wait_until(lambda: states(http)["llama"] == "unloaded", SOON_S, "the model is unloaded")


def test_a_damaged_file_fails_alone_and_is_loaded_when_repaired(http, models_dir):
    good = (models_dir / "llama.gguf").read_bytes()
    (models_dir / "llama.gguf").write_bytes(good[: len(good) // 2])
    reply = http.post(CHAT, json=body("llama"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_load_failed")
    assert int(reply.headers["Retry-After"]) >= 1
    assert http.post(CHAT, json=body("gemma3")).status_code == 200
    assert states(http)["llama"] == "failed"
    (models_dir / "llama.gguf").write_bytes(good)
    wait_until(lambda: states(http)["llama"] == "unloaded", SOON_S, "the repair is seen")
    assert http.post(CHAT, json=body("llama")).status_code == 200


def test_reload_finds_new_files_and_leaves_loaded_models_alone(server, http, models_dir):
    http.post(CHAT, json=body("llama")).raise_for_status()
    process = engine_of(server, "llama")
    write_tiny_llama(models_dir / "another.gguf", seed=1)
    (models_dir / "rwkv7.gguf").unlink()
    reply = http.post("/models/reload").raise_for_status().json()
    assert {model["id"] for model in reply["data"]} == {"another", "gemma3", "llama"}
    assert http.post(CHAT, json=body("another")).status_code == 200
    assert is_alive(process)


def test_a_changed_model_gets_a_new_engine_while_the_old_one_finishes(server, http, models_dir):
    with endless_answer(http, CHAT, body("llama")) as answer:
        config = "name: llama\ncontext_size: 128\nparameters:\n  model: llama.gguf\n"
        (models_dir / "llama.yaml").write_text(config)
        http.post("/models/reload").raise_for_status()
        assert http.post(CHAT, json=body("llama")).status_code == 200
        assert answer.is_running
    assert http.get("/v1/models/llama").json()["meta"]["n_ctx"] == 128
    wait_until(lambda: len(server.find("pyserve.engine.main")) == 1, SOON_S, "one engine is left")


@pytest.mark.parametrize(("how", "n_reloads"), [("request", 20), ("signal", 5)])
def test_reloads_under_load_fail_no_request(server, http, models_dir, how, n_reloads):
    is_over = threading.Event()

    def ask(worker: int) -> list[int]:
        statuses = []
        while not is_over.is_set():
            statuses.append(one_request(http, "llama" if worker % 2 else "gemma3", worker))
        return statuses

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, worker) for worker in range(8)]
        for turn in range(n_reloads):
            n_ctx = 256 + 128 * (turn // 2 % 2)  # every other time the engine is another one
            config = f"name: gemma3\ncontext_size: {n_ctx}\ndescription: turn {turn}\n"
            path = models_dir / "gemma3.yaml"
            path.with_suffix(".new").write_text(config + "parameters: {model: gemma3.gguf}\n")
            path.with_suffix(".new").rename(path)
            reload_models(http, server, f"turn {turn}", how)
        is_over.set()
        statuses = [status for one in asked for status in one.result(SOON_S)]
    assert len(statuses) >= 8
    assert set(statuses) == {200}


def one_request(http: httpx.Client, model: str, worker: int) -> int:
    """The status; 0 for a stream that is cut off."""
    if worker < 4:
        return http.post(CHAT, json=body(model)).status_code
    with http.stream("POST", CHAT, json=body(model, stream=True)) as reply:
        events = list(sse_events(reply))
    return reply.status_code if events[-1:] == ["[DONE]"] else 0


def reload_models(http: httpx.Client, server: ServerProcess, turn: str, how: str) -> None:
    if how == "request":
        http.post("/models/reload").raise_for_status()
    else:
        os.kill(server.pid, signal.SIGHUP)

    def is_seen() -> bool:
        meta = http.get("/v1/models/gemma3").raise_for_status().json()["meta"]
        return bool(meta["description"] == turn)

    wait_until(is_seen, SOON_S, f"the reload of {turn} is seen")


def test_a_bad_configuration_changes_nothing(http, models_dir):
    http.post(CHAT, json=body("llama")).raise_for_status()
    for path in models_dir.glob("*.gguf"):
        path.rename(path.with_suffix(".away"))
    reply = http.post("/models/reload")
    assert reply.status_code == 404
    assert "pyserve pull" in reply.json()["error"]["message"]
    (models_dir / "bad.gguf").write_bytes(b"GGUF")
    assert http.post("/models/reload").status_code == 503
    assert set(states(http)) == {"llama", "gemma3", "rwkv7"}
    assert http.post(CHAT, json=body("llama")).status_code == 200
