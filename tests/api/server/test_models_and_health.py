from __future__ import annotations

import logging

import msgspec
import pytest

from pyserve import __version__
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.calls import GetInfo
from pyserve.engine.kernels import KernelFall
from pyserve.errors import EngineRestartedError, ErrorInfo
from pyserve.models.profile import ModelProfile
from tests.support.front import CHAT, chat_body, error_of

LOADING = ModelStatus(id="slow", created=1, state="loading", socket_path="/secret.sock")
FAILED = ModelStatus(
    id="bad",
    created=1,
    state="failed",
    error=ErrorInfo(code="model_load_failed", message="the file is truncated"),
)


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_all_models_are_listed(start, path):
    front = start(models=("a/b:c", "d"), others=(LOADING,))
    body = front.client.get(path).get_json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["a/b:c", "d", "slow"]
    for model in body["data"]:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["owned_by"]
    assert "secret" not in front.client.get(path).text


def test_one_loaded_model_says_how_its_answers_are_read(start):
    front = start(chat_template="{% if tools %}<tool_call></think>{% endif %}")
    meta = front.client.get("/v1/models/tiny").get_json()["meta"]
    assert meta["answer_format"] == {
        "name": "tagged",
        "origin": "known",
        "calls": "object",
        "call_begin": "<tool_call>",
        "reasoning": ["<think>", "</think>"],
    }


def test_of_an_engine_that_has_just_ended_the_format_is_not_known(start, monkeypatch):
    front = start(chat_template="{% if tools %}<tool_call>ended{% endif %}")
    ask = front.core.ask

    def ended(call):
        if isinstance(call, GetInfo):
            return ask(call)
        raise EngineRestartedError("the engine process has ended", retry_after_s=1)

    monkeypatch.setattr(front.core, "ask", ended)
    reply = front.client.get("/v1/models/tiny")
    assert reply.status_code == 200
    assert reply.get_json()["meta"]["answer_format"] is None


def test_a_loaded_model_says_what_it_is(start):
    front = start(others=(LOADING,), engine={"n_ctx": 64}, has_chat_template=False)
    loaded, loading = front.client.get("/v1/models").get_json()["data"]
    assert set(loaded) == {
        *("id", "object", "created", "owned_by", "root", "parent", "max_model_len"),
        *("status", "meta"),
    }
    assert (loaded["root"], loaded["parent"]) == ("tiny", None)
    assert (loaded["max_model_len"], loading["max_model_len"]) == (64, None)
    assert loaded["status"] == {"value": "loaded", "failed": False}
    assert loading["status"] == {"value": "loading", "failed": False}
    assert loaded["meta"] == {
        "state": "ready",
        "architecture": "fake",
        "quantization": "none",
        "n_params": 0,
        "size": 0,
        "n_ctx": 64,
        "n_ctx_train": 64,
        "n_vocab": 32000,
        "n_embd": 8,
        "has_chat_template": False,
        "memory": None,
        "pinned": False,
        "aliases": [],
        "description": "",
        "capabilities": ["chat", "completion", "edit", "embedding", "tools"],
        "answer_format": None,
    }
    assert loading["meta"].keys() == loaded["meta"].keys()
    assert loading["meta"]["state"] == "loading"
    assert loading["meta"]["n_ctx"] is None


def test_models_are_listed_by_a_filter_and_with_their_files(start):
    profile = ModelProfile(aliases=("one.gguf", "helper"))
    status = ModelStatus(
        id="a", created=1, state="unloaded", profile=profile, model_path="/models/one.gguf"
    )
    front = start(models=("b",), others=(status,))

    def ids(query: str) -> list[str]:
        reply = front.client.get(f"/v1/models{query}")
        return [model["id"] for model in reply.get_json()["data"]]

    assert ids("") == ids("?excludeConfigured=true") == ["b", "a"]
    assert ids("?excludeConfigured=false") == ["b", "a", "one.gguf"]
    assert ids("?filter=^a") == ["a"]
    bad = front.client.get("/v1/models?filter=(")
    assert (bad.status_code, error_of(bad)["param"]) == (400, "filter")


@pytest.mark.parametrize("path", ["/v1/models/a/b:c", "/models/a%2Fb%3Ac"])
def test_one_model_by_an_id_with_a_slash(start, path):
    body = start(models=("a/b:c", "d")).client.get(path).get_json()
    assert (body["id"], body["object"]) == ("a/b:c", "model")


def test_an_unknown_model_is_not_found_even_if_there_is_only_one(front):
    response = front.client.get("/v1/models/other")
    assert response.status_code == 404
    error = error_of(response)
    assert error["code"] == "model_not_found"
    assert "tiny" in error["message"]


def test_the_front_lives_whatever_its_models_do(start):
    assert start(models=(), others=(FAILED,)).client.get("/livez").status_code == 200


def test_the_version_needs_no_model(start):
    body = start(models=()).client.get("/version").get_json()
    assert body == {"version": __version__}


@pytest.mark.parametrize(
    "path", ["/health", "/healthz", "/ready", "/readyz", "/ping", "/v1/health"]
)
def test_health_is_ok_when_a_model_is_ready(start, path):
    response = start(others=(FAILED,)).client.get(path)
    assert response.status_code == 200
    assert response.get_json()["status"] == "ok"


def test_health_shows_kernels_and_which_could_not_be_used(start):
    falls = (KernelFall("fast", "SIGILL"),)
    fallen = msgspec.structs.replace(LOADING, kernel_falls=falls)
    front = start(others=(fallen,), engine={"kernels": "fast"})
    ready, loading = front.client.get("/health").get_json()["models"]
    assert (ready["kernels"], ready["kernel_falls"]) == ("fast", [])
    assert loading["kernels"] is None
    assert loading["kernel_falls"] == [{"kernels": "fast", "reason": "SIGILL"}]


def test_health_shows_threads_and_memory_of_what_is_loaded(start):
    ready, failed = start(others=(FAILED,)).client.get("/health").get_json()["models"]
    assert ready["n_threads"] == 1
    assert ready["n_threads_batch"] == 0
    assert set(ready["memory"]) == {"weights", "kv_cache", "compute"}
    assert failed["memory"] is None


@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.parametrize(
    ("others", "status", "code"),
    [
        ((LOADING,), "loading model", "model_loading"),
        ((FAILED, LOADING), "loading model", "model_loading"),
        ((FAILED,), "failed", "model_load_failed"),
        ((), "no model", "model_load_failed"),
    ],
)
def test_health_says_why_nothing_is_ready(start, path, others, status, code):
    response = start(models=(), others=others).client.get(path)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert error_of(response)["code"] == code
    body = response.get_json()
    assert body["status"] == status
    assert [model["state"] for model in body["models"]] == [other.state for other in others]


def test_waiting_for_health_does_not_fill_the_log(start, caplog):
    caplog.set_level(logging.INFO)
    front = start(models=(), others=(LOADING,), load_timeout_s=0.01)
    front.client.get("/health")
    assert caplog.text == ""
    front.post(CHAT, chat_body())
    assert "model_loading" in caplog.text


def test_a_model_that_is_loading_is_waited_for_and_then_refused(start):
    front = start(models=(), others=(LOADING,), load_timeout_s=0.01)
    response = front.post(CHAT, chat_body())
    assert response.status_code == 503
    assert error_of(response)["code"] == "model_loading"
    assert response.headers["Retry-After"] == "1"
    assert front.stream_limit.n_held == 0


def test_a_model_that_failed_to_load_is_refused_with_its_reason(start):
    response = start(models=(), others=(FAILED,)).post(CHAT, chat_body())
    assert response.status_code == 503
    error = error_of(response)
    assert (error["code"], error["message"]) == ("model_load_failed", "the file is truncated")


@pytest.mark.parametrize(
    ("path", "body", "headers", "resolved"),
    [
        ("/v1/chat/completions", {"model": "d"}, {}, "d"),
        ("/v1/chat/completions?model=d", {}, {}, "d"),
        ("/v1/chat/completions?model=d", {"model": "a/b:c"}, {}, "a/b:c"),
        ("/v1/engines/a/b:c/chat/completions", {}, {}, "a/b:c"),
        ("/v1/chat/completions", {}, {"Authorization": "Bearer d"}, "d"),
        ("/v1/chat/completions", {"model": "a/b:c"}, {"Authorization": "Bearer d"}, "a/b:c"),
        ("/v1/chat/completions", {"model": "d"}, {"Authorization": "Basic ZDpk"}, "d"),
    ],
)
def test_the_model_is_named_by_body_path_query_or_token(start, path, body, headers, resolved):
    front = start(models=("a/b:c", "d"))
    response = front.post(path, chat_body(**body), headers=headers)
    assert response.get_json()["model"] == response.headers["X-Model-Resolved"] == resolved
    assert len(front.cores[resolved].requests) == 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"model": "x"}, 404, "model_not_found"), ({}, 400, "invalid_value")],
)
def test_several_models_need_a_name(start, fields, status, code):
    response = start(models=("a", "b")).post(CHAT, chat_body(**fields))
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (status, code, "model")
    assert "a, b" in error["message"]


def test_strict_names_refuse_an_unknown_one(start):
    front = start(strict_model_names=True)
    assert front.post(CHAT, chat_body(model="x")).status_code == 404
    assert front.post(CHAT, chat_body()).status_code == 200


def test_a_model_id_beyond_latin_1_fits_into_the_header(start):
    response = start(models=("modèle-模型",)).post(CHAT, chat_body())
    assert response.status_code == 200
    assert response.headers["X-Model-Resolved"] == "mod%C3%A8le-%E6%A8%A1%E5%9E%8B"


def state_of(front, model_id):
    return front.client.get(f"/models/{model_id}").get_json()["meta"]["state"]


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_models_are_unloaded_and_loaded_on_demand(start, prefix):
    front = start(models=("a/b:c", "d"))
    done = {"success": True, "model": "d"}
    assert front.post(f"{prefix}/models/unload", {"model": "d"}).get_json() == done
    assert (state_of(front, "d"), state_of(front, "a/b:c")) == ("unloaded", "ready")
    assert front.client.get("/health").status_code == 200
    assert front.post(f"{prefix}/models/load", {"model": "d"}).get_json() == done
    assert state_of(front, "d") == "ready"
    front.post(f"{prefix}/models/unload", {"model": "d", "wait": False, "force": True})
    assert front.post(CHAT, chat_body(model="d")).status_code == 200
    assert state_of(front, "d") == "ready"


@pytest.mark.parametrize("action", ["load", "unload"])
@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "x"}, 404, "model"),
        ({}, 400, "model"),
        ({"model": 1}, 400, "model"),
        ({"model": "tiny", "wait": "no"}, 400, "wait"),
    ],
)
def test_what_cannot_be_loaded_or_unloaded_is_refused(front, action, body, status, param):
    response = front.post(f"/models/{action}", body)
    assert (response.status_code, error_of(response)["param"]) == (status, param)


def test_a_model_that_cannot_be_loaded_says_why_when_it_is_waited_for(start):
    front = start(others=(FAILED,))
    assert error_of(front.post("/models/load", {"model": "bad"}))["code"] == "model_load_failed"
    assert front.post("/models/load", {"model": "bad", "wait": False}).status_code == 200


def test_a_busy_model_is_unloaded_later(front):
    held = front.post(CHAT, chat_body("#hold=1 x y z", stream=True), buffered=False)
    response = front.post("/models/unload", {"model": "tiny"})
    assert (response.status_code, error_of(response)["code"]) == (503, "model_busy")
    assert response.headers["Retry-After"]
    assert front.post("/models/unload", {"model": "tiny", "wait": False}).status_code == 200
    held.close()
    assert front.post("/models/unload", {"model": "tiny"}).status_code == 200


def test_reloading_answers_with_the_models(front):
    response = front.post("/v1/models/reload", None)
    assert [model["id"] for model in response.get_json()["data"]] == ["tiny"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0),
        (1.5, 1.5),
        (-7, -1),
        ("5m", 300),
        ("1h30m", 5400),
        ("-1m", -1),
        ("5", 5),
    ],
)
def test_requests_say_how_long_the_model_stays(front, value, seconds):
    assert front.post(CHAT, chat_body(keep_alive=value)).status_code == 200
    assert front.backend.keep_alives == [seconds]


@pytest.mark.parametrize("value", ["", "m", "5 m", "1d", "5mm", True, [], "9" * 65, 1e10, "1e2"])
def test_other_words_for_it_are_refused(front, value):
    response = front.post(CHAT, chat_body(keep_alive=value))
    assert (response.status_code, error_of(response)["param"]) == (400, "keep_alive")


@pytest.mark.parametrize("path", ["/", "/v1"])
def test_the_root_says_what_this_is(front, path):
    body = front.client.get(path).get_json()
    assert body["name"] == "pyserve"
    assert body["models"] == ["tiny"]


def test_codex_gets_a_list_of_its_own(start):
    front = start(models=("a", "b"), engine={"n_ctx": 4096})
    assert "models" not in front.client.get("/v1/models").get_json()
    body = front.client.get("/v1/models?client_version=0.145.0").get_json()
    assert [model["id"] for model in body["data"]] == ["a", "b"]
    assert [(model["slug"], model["priority"]) for model in body["models"]] == [("a", 0), ("b", 1)]
    first = body["models"][0]
    assert (first["context_window"], first["input_modalities"]) == (4096, ["text"])
    assert set(first) >= {
        "display_name",
        "supported_reasoning_levels",
        "shell_type",
        "visibility",
        "supported_in_api",
        "base_instructions",
        "supports_reasoning_summaries",
        "support_verbosity",
        "truncation_policy",
        "supports_parallel_tool_calls",
        "experimental_supported_tools",
    }
