"""POST /api/chat: a stream of lines, or one object."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.models.profile import ModelProfile
from tests.support.ollama_lines import CHAT, chat, lines_of, said

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
OSLO = {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}
THINKS = "<think></think>{% if enable_thinking %}"
THOUGHT = "<think>\nHm hm\n</think>\n\nHi you"
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


@pytest.fixture
def say(start):
    """A front whose model says the text, again and again."""
    return lambda text, **settings: start(FakeScript(texts=(text,)), **settings)


def test_a_body_needs_no_content_type_unless_it_is_a_web_pages(front):
    """As some clients send it."""
    data = json.dumps(chat("Hello")).encode()
    assert front.client.post(CHAT, data=data).status_code == 200
    page = {"Origin": "http://localhost"}
    assert front.client.post(CHAT, data=data, headers=page).status_code == 415
    for kind, status in (
        ("application/octet-stream", 200),
        ("application/x-www-form-urlencoded", 200),
        ("text/plain", 415),
    ):
        typed = {"Content-Type": kind}
        assert front.client.post(CHAT, data=data, headers=typed).status_code == status


def test_a_chat_is_a_stream_of_lines(front):
    *parts, last = lines_of(front.post(CHAT, chat("Hello big world")))
    assert [part["message"]["content"] for part in parts] == ["Hello", " big", " world"]
    for part in parts:
        assert set(part) == {"model", "created_at", "message", "done"}
        assert not part["done"]
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert all(isinstance(last[name], int) for name in DURATIONS)
    assert last["total_duration"] >= last["load_duration"] > 0
    assert datetime.fromisoformat(last["created_at"]).tzinfo is not None


def test_a_plain_chat_is_one_object(front):
    reply = front.post(CHAT, chat("Hello big world", stream=False)).get_json()
    assert reply["message"] == {"role": "assistant", "content": "Hello big world"}
    assert (reply["done"], reply["done_reason"], reply["model"]) == (True, "stop", "tiny")
    assert (reply["prompt_eval_count"] > 0, reply["eval_count"]) == (True, 3)


def test_calls_have_objects_for_arguments_and_come_whole(say):
    front = say(f"I look. {CALL}\n{CALL}")
    reply = front.post(CHAT, chat(tools=[WEATHER], stream=False)).get_json()
    calls = reply["message"]["tool_calls"]
    assert [call["function"] for call in calls] == [OSLO, {**OSLO, "index": 1}]
    assert len({call["id"] for call in calls}) == 2
    assert (reply["message"]["content"], reply["done_reason"]) == ("I look.", "stop")
    lines = lines_of(front.post(CHAT, chat(tools=[WEATHER])))
    streamed = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert [call["function"] for call in streamed] == [OSLO, {**OSLO, "index": 1}]
    assert said(lines) == "I look."


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_that_is_cut_off_is_left_out(say, stream):
    asked = chat(tools=[WEATHER], stream=stream, options={"num_predict": 5})
    response = say(CALL).post(CHAT, asked)
    lines = lines_of(response) if stream else [response.get_json()]
    assert all("tool_calls" not in line["message"] for line in lines)
    assert lines[-1]["done_reason"] == "length"


def test_thoughts_are_apart(say):
    front = say(THOUGHT, chat_template=THINKS)
    message = front.post(CHAT, chat(stream=False)).get_json()["message"]
    assert (message["content"], message["thinking"]) == ("Hi you", "Hm hm")
    lines = lines_of(front.post(CHAT, chat(think=True)))
    assert "".join(line["message"].get("thinking", "") for line in lines) == "Hm hm"
    assert said(lines) == "Hi you"


@pytest.mark.parametrize(
    ("think", "variables"),
    [
        (True, {"enable_thinking": True}),
        (False, {"enable_thinking": False}),
        ("high", {"enable_thinking": True}),
        (None, {}),
    ],
)
def test_think_reaches_the_template(say, think, variables):
    front = say("Hi", chat_template=THINKS)
    assert front.post(CHAT, chat(think=think, stream=False)).status_code == 200
    (request,) = front.core.requests
    assert (request.template.variables if request.template else {}) == variables


@pytest.mark.parametrize("think", [True, "low"])
def test_a_model_that_does_not_think_says_so(front, think):
    response = front.post(CHAT, chat(think=think))
    assert response.status_code == 400
    assert response.get_json() == {"error": "'tiny' does not support thinking"}
    assert front.post(CHAT, chat(think=False, stream=False)).status_code == 200


def test_log_probabilities_come_with_their_tokens(front):
    asked = chat("Hello big world", logprobs=True, top_logprobs=2)
    plain = front.post(CHAT, {**asked, "stream": False}).get_json()["logprobs"]
    assert [token["token"] for token in plain] == ["Hello", " big", " world"]
    assert set(plain[0]) == {"token", "logprob", "bytes", "top_logprobs"}
    assert len(plain[0]["top_logprobs"]) == 2
    streamed = [
        one for line in lines_of(front.post(CHAT, asked)) for one in line.get("logprobs", [])
    ]
    assert [token["token"] for token in streamed] == [token["token"] for token in plain]
    bare = front.post(CHAT, chat(logprobs=True, stream=False)).get_json()["logprobs"]
    assert "top_logprobs" not in bare[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_predict": 2}, 2),
        ({"num_predict": -1}, None),
        ({"num_predict": -2}, None),
        ({"num_predict": 0}, None),
        ({}, None),
    ],
)
def test_num_predict_limits_the_answer(front, options, expected):
    front.post(CHAT, chat(options=options, stream=False))
    (request,) = front.core.requests
    assert request.max_tokens == expected


def test_options_are_those_of_sampling(front):
    given: dict[str, Any] = {
        "temperature": 0.5, "top_k": 7, "top_p": 0.6, "min_p": 0.1, "typical_p": 0.9,
        "repeat_last_n": 9, "repeat_penalty": 1.2, "presence_penalty": 0.3,
        "frequency_penalty": 0.4, "mirostat": 2, "mirostat_tau": 4.0, "mirostat_eta": 0.2,
        "seed": 42,
    }  # fmt: skip
    front.post(CHAT, chat(options={**given, "stop": ["x"]}, stream=False))
    (request,) = front.core.requests
    assert {name: getattr(request.sampling, name) for name in given} == given
    assert "x" in request.stop


def test_options_without_effect_are_named(front):
    options = {"num_gpu": 1, "num_thread": 4, "use_mmap": True, "num_batch": 8, "made_up": 1}
    response = front.post(CHAT, chat(options=options, shift=True, stream=False))
    assert response.status_code == 200
    named = response.headers["X-Ignored-Fields"].split(", ")
    assert set(named) == {*(f"options.{name}" for name in options), "shift"}


def test_a_format_constrains_the_answer(front):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    for form in ("json", schema):
        front.post(CHAT, chat(format=form, stream=False))
    anything, constrained = front.core.requests
    assert anything.grammar
    assert constrained.grammar not in ("", anything.grammar)
    response = front.post(CHAT, chat(format="yaml"))
    told = {"error": "format must be \"json\" or a JSON Schema, but is 'yaml'"}
    assert (response.status_code, response.get_json()) == (400, told)


def test_what_does_not_fit_is_refused_unless_it_may_be_cut(start):
    front = start(engine={"n_ctx": 64})
    turns = [
        {"role": role, "content": f"{role} says a few words here"}
        for _ in range(12)
        for role in ("user", "assistant")
    ]
    asked = {"model": "tiny", "messages": [*turns, {"role": "user", "content": "hi"}]}
    for fields in ({}, {"truncate": False}):
        response = front.post(CHAT, {**asked, **fields})
        assert response.status_code == 400
        assert "64" in response.get_json()["error"]
    cut = front.post(CHAT, {**asked, "truncate": True, "stream": False})
    assert cut.status_code == 200
    assert int(cut.headers["X-Dropped-Messages"]) > 0


def test_num_ctx_is_a_limit_of_the_request(front):
    n_prompt = front.post(CHAT, chat("hi", stream=False)).get_json()["prompt_eval_count"]
    asked = chat("hi", stream=False, options={"num_ctx": n_prompt + 1})
    assert front.post(CHAT, asked).status_code == 200
    assert front.core.requests[-1].max_tokens == 1
    response = front.post(CHAT, chat("hi", options={"num_ctx": n_prompt}))
    assert response.status_code == 400
    assert "num_ctx" in response.get_json()["error"]
    more = front.post(CHAT, chat("hi", stream=False, options={"num_ctx": 10**6}))
    assert (more.status_code, more.headers["X-Ignored-Fields"]) == (200, "num_ctx")


def test_no_messages_load_the_model_or_let_it_leave(start):
    front = start()
    for fields, reason in (
        ({}, "load"),
        ({"messages": []}, "load"),
        ({"keep_alive": "5m"}, "load"),
        ({"keep_alive": 0}, "unload"),
        ({"keep_alive": "0s"}, "unload"),
    ):
        reply = front.post(CHAT, {"model": "tiny", **fields}).get_json()
        assert (reply["done"], reply["done_reason"]) == (True, reason)
        assert reply["message"] == {"role": "assistant", "content": ""}
    assert front.core.requests == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "images"),
        ({"messages": [{"role": "function", "content": "x"}]}, "role"),
        ({"messages": "hi"}, "messages"),
        ({"options": {"temperature": 3}}, "options.temperature"),
        ({"options": {"num_predict": -3}}, "options.num_predict"),
        ({"options": {"tfs_z": 0.5}}, "options.tfs_z"),
        ({"options": []}, "options"),
        ({"options": {f"o{i}": 1 for i in range(65)}}, "options"),
        ({"think": "very"}, "think"),
        ({"think": 1}, "think"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"tools": [{"type": "retrieval"}]}, "tools"),
        ({"tools": [WEATHER, WEATHER]}, "tools.1"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_is_wrong_is_told_in_one_text(front, fields, word):
    response = front.post(CHAT, {**chat(), **fields})
    assert response.status_code == 400, response.text
    error = response.get_json()
    assert set(error) == {"error"}
    assert word in error["error"]


def test_a_model_is_known_with_its_tag(start):
    front = start(models=("a", "b"))
    for name, status in (("a:latest", 200), ("a", 200), ("a:other", 404), ("c", 404)):
        response = front.post(CHAT, chat(model=name, stream=False))
        assert response.status_code == status, name
        if status == 200:
            assert response.get_json()["model"] == name
            assert response.headers["X-Model-Resolved"] == "a"
        else:
            assert set(response.get_json()) == {"error"}


def test_a_stream_that_breaks_off_ends_with_the_error(start):
    front = start(FakeScript(texts=("Hello big world",), fail_after=2))
    *parts, last = lines_of(front.post(CHAT, chat()))
    assert said(parts) == "Hello big"
    assert last == {"error": "the script says so"}


def test_a_silent_stream_repeats_an_empty_line(start):
    front = start(FakeScript(texts=("Hello big world",), hold_after=1), keep_alive_s=0.0)
    response = front.post(CHAT, chat(), buffered=False)
    chunks = iter(response.response)
    seen = [next(chunks) for _ in range(6)]
    assert any(b'"content":""' in chunk and b'"done":false' in chunk for chunk in seen)
    front.core.release()
    *_, last = chunks
    assert b'"done":true' in last


def test_stops_of_the_models_configuration_apply(start):
    front = start(profiles={"tiny": ModelProfile(stop=("world",))})
    assert said(lines_of(front.post(CHAT, chat("Hello big world")))) == "Hello big "


def test_paths_are_not_below_v1_and_unknown_ones_are_told_alike(front):
    for path, status in (("/api/nothing", 404), ("/v1/api/chat", 404)):
        response = front.post(path, chat())
        assert response.status_code == status
    assert set(front.post("/api/nothing", chat()).get_json()) == {"error"}
    assert isinstance(front.post("/api/nothing", chat()).get_json()["error"], str)
    assert isinstance(front.client.get(CHAT).get_json()["error"], str)


def test_what_of_a_format_is_not_enforced_is_named(front):
    form = {"type": "object", "properties": {"a": {"type": "integer", "not": {"const": 5}}}}
    response = front.post(CHAT, chat(format=form, stream=False))
    assert response.headers["X-Unenforced"] == "$.properties.a.not"
