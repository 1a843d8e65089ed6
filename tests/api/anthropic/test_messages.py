from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from werkzeug.test import TestResponse

from pyserve.engine.fake.script import FakeScript
from pyserve.models.profile import ModelProfile, PromptProfile
from tests.support.anthropic_client import anthropic_client_of
from tests.support.front import counted
from tests.support.limits import SOON_S

MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
TEXT = "Zoë said\n\nevent: x \u2028 \U0001f600 fin"
HI = [{"role": "user", "content": "hello big world"}]


def body_of(content: Any = "hello big world", **fields: Any) -> dict[str, Any]:
    return {"max_tokens": 64, "messages": [{"role": "user", "content": content}], **fields}


def typed_events(response: TestResponse) -> list[Any]:
    """The events, having checked that each is named after its type."""
    assert response.status_code == 200
    assert response.content_type.startswith("text/event-stream")
    events = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def error_of(response: TestResponse) -> dict[str, Any]:
    """The error, having checked its shape."""
    body = response.get_json()
    assert (body["type"], body["request_id"]) == ("error", response.headers["Request-Id"])
    assert set(body["error"]) - {"details"} == {"type", "message"}
    found: dict[str, Any] = body["error"]
    return found


def test_a_plain_answer(front):
    response = front.post(MESSAGES, body_of(model="claude", system="Be kind", metadata={}))
    body = response.get_json()
    assert response.status_code == 200
    assert body.pop("id").startswith("msg_")
    usage = body.pop("usage")
    assert body == {
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [{"type": "text", "text": "hello big world"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }
    assert (usage["output_tokens"], usage["cache_read_input_tokens"]) == (3, 0)
    assert response.headers["Request-Id"] == response.headers["X-Request-Id"]
    (request,) = front.core.requests
    assert request.messages[0] == {"role": "system", "content": "Be kind"}
    assert request.max_tokens == 64


@pytest.mark.parametrize("path", ["/messages?beta=true", "/v1/engines/tiny/messages"])
def test_other_paths_lead_to_the_same(front, path):
    content = front.post(path, body_of("hi")).get_json()["content"]
    assert content == [{"type": "text", "text": "hi"}]


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 2}, {"stop_sequences": ["\u2028"]}])
def test_a_stream_adds_up_to_the_plain_answer(start, fields):
    front = start(FakeScript(texts=(TEXT,)))
    plain = front.post(MESSAGES, body_of(**fields)).get_json()
    events = typed_events(front.post(MESSAGES, body_of(stream=True, **fields)))
    kinds = [event["type"] for event in events]
    n_deltas = kinds.count("content_block_delta")
    assert kinds == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * n_deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    begun = events[0]["message"]
    assert (begun["content"], begun["stop_reason"]) == ([], None)
    assert begun["usage"]["input_tokens"] == plain["usage"]["input_tokens"]
    text = "".join(event["delta"]["text"] for event in events[3 : 3 + n_deltas])
    assert plain["content"] == [{"type": "text", "text": text}]
    last = events[-2]
    assert last["delta"] == {key: plain[key] for key in ("stop_reason", "stop_sequence")}
    assert last["usage"] == {key: plain["usage"][key] for key in last["usage"]}


@pytest.mark.parametrize(
    ("fields", "engine", "expected"),
    [
        ({}, {}, ("end_turn", None)),
        ({"max_tokens": 2}, {}, ("max_tokens", None)),
        ({"stop_sequences": ["zzz", "big"]}, {}, ("stop_sequence", "big")),
        ({}, {"n_ctx": 8}, ("model_context_window_exceeded", None)),
        ({"num_ctx": 8}, {}, ("model_context_window_exceeded", None)),
    ],
)
def test_an_answer_says_why_it_ended(start, fields, engine, expected):
    front = start(engine=engine)
    body = front.post(MESSAGES, body_of(**fields)).get_json()
    assert (body["stop_reason"], body["stop_sequence"]) == expected


def test_a_stop_text_of_the_model_is_none_of_the_clients(start):
    front = start(profiles={"tiny": ModelProfile(stop=("big",))})
    body = front.post(MESSAGES, body_of(stop_sequences=["zzz"])).get_json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert front.core.requests[0].stop[:2] == ["zzz", "big"]


@pytest.mark.parametrize(("fields", "system"), [({}, "S"), ({"system": "own"}, "own")])
def test_a_configured_system_prompt_is_for_requests_without_one(start, fields, system):
    profile = ModelProfile(prompt=PromptProfile(system_prompt="S"))
    front = start(profiles={"tiny": profile})
    front.post(MESSAGES, body_of(**fields))
    assert front.core.requests[0].messages[0] == {"role": "system", "content": system}


@pytest.mark.parametrize("stream", [False, True])
def test_no_tokens_at_all_compute_the_prompt(front, stream):
    response = front.post(MESSAGES, body_of(max_tokens=0, stream=stream))
    if stream:
        events = typed_events(response)
        assert [e["type"] for e in events[1:]] == ["ping", "message_delta", "message_stop"]
        assert events[-2]["delta"]["stop_reason"] == "max_tokens"
    else:
        body = response.get_json()
        assert (body["content"], body["stop_reason"]) == ([], "max_tokens")
    assert front.core.requests[0].max_tokens == 0


def test_tokens_are_counted(front):
    body = {"messages": HI, "system": "Be kind", "tools": []}
    counted = front.post(f"{COUNT}?beta=true", body)
    assert counted.status_code == 200
    used = front.post(MESSAGES, {**body, "max_tokens": 1}).get_json()["usage"]
    assert counted.get_json() == {"input_tokens": used["input_tokens"]}


def test_a_last_message_of_the_assistant_is_continued(front):
    turns = [*HI, {"role": "assistant", "content": [{"type": "text", "text": "The best"}]}]
    assert front.post(MESSAGES, {"messages": turns, "max_tokens": 4}).status_code == 200
    (request,) = front.core.requests
    assert request.messages is None
    assert front.engine.detokenize(request.tokens).endswith("The best")
    counted = front.post(COUNT, {"messages": turns}).get_json()["input_tokens"]
    assert counted == len(request.tokens)


def test_what_the_model_does_not_see_is_named(front):
    turns = [
        *HI,
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]},
        {"role": "user", "content": [{"type": "text", "text": "go", "cache_control": {}}]},
    ]
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    fields = {"context_management": {"edits": []}, "cache_control": {"type": "ephemeral"}}
    response = front.post(MESSAGES, {"messages": turns, "tools": tools, "max_tokens": 9, **fields})
    assert response.status_code == 200
    assert response.headers["X-Ignored-Tools"] == "web_search_20250305"
    assert response.headers["X-Ignored-Items"] == "redacted_thinking; n=1"
    assert response.headers["X-Ignored-Fields"] == "context_management"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "kind", "part"),
    [
        ({"messages": HI}, 400, "invalid_request_error", "max_tokens is required"),
        (body_of(max_tokens=-1), 400, "invalid_request_error", "max_tokens"),
        (body_of([{"type": "image"}]), 400, "invalid_request_error", "messages.0.content.0"),
        (body_of("x " * 200), 400, "invalid_request_error", "prompt is too long: "),
        (body_of("#refuse"), 500, "api_error", "the script says so"),
        (body_of("x" * 9000), 413, "request_too_large", "8192 bytes"),
    ],
)
def test_errors_before_the_first_token_have_their_status(start, stream, body, status, kind, part):
    front = start(engine={"n_ctx": 128}, max_body_bytes=8192)
    response = front.post(MESSAGES, {**body, "stream": stream})
    error = error_of(response)
    assert (response.status_code, error["type"]) == (status, kind)
    assert part in error["message"]
    assert front.stream_limit.n_held == 0


def test_a_failure_on_the_way_is_the_last_event(front):
    *_, delta, last = typed_events(front.post(MESSAGES, body_of("a b #fail=1", stream=True)))
    assert delta["delta"] == {"type": "text_delta", "text": "a"}
    assert last["type"] == "error"
    assert last["error"] == {"type": "api_error", "message": "the script says so"}
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize(
    ("citations", "named"),
    [
        ({"enabled": True}, "messages.0.content.0.citations"),
        ({"enabled": False}, None),
        (None, None),
    ],
)
def test_citations_that_are_asked_for_are_named(front, citations, named):
    source = {"type": "text", "media_type": "text/plain", "data": "a"}
    block = {"type": "document", "source": source, "citations": citations}
    response = front.post(MESSAGES, body_of([block, {"type": "text", "text": "b"}]))
    assert response.headers.get("X-Ignored-Fields") == named
    said = response.get_json()["content"][0]["text"]
    assert said == "<document>\n<content>\na\n</content>\n</document>\nb"


def test_silence_is_filled_with_pings(start):
    front = start(FakeScript(hold_after=1), keep_alive_s=0.0)
    response = front.post(MESSAGES, body_of(stream=True))
    seen = b"".join(next(response.response) for _ in range(4))
    response.close()
    assert seen.count(b'event: ping\ndata: {"type":"ping"}\n\n') >= 2
    assert b"\n:" not in seen


def test_closing_a_stream_cancels_its_request(start):
    front = start(FakeScript(hold_after=1))
    response = front.post(MESSAGES, body_of(stream=True))
    assert b"message_start" in next(response.response)
    response.close()
    assert front.core.wait_cancelled(1, SOON_S)
    assert front.stream_limit.n_held == 0


def test_a_busy_server_is_overloaded(start):
    front = start(FakeScript(hold_after=1), max_streams=1)
    held = front.post(MESSAGES, body_of(stream=True))
    next(held.response)
    refused = front.post(MESSAGES, body_of())
    assert (refused.status_code, error_of(refused)["type"]) == (529, "overloaded_error")
    assert int(refused.headers["Retry-After"]) >= 1
    held.close()


def test_unknown_paths_and_methods_are_told_in_the_same_shape(front):
    unknown = front.client.get("/v1/messages/nothing")
    assert (unknown.status_code, error_of(unknown)["type"]) == (404, "not_found_error")
    wrong = front.client.get(MESSAGES)
    assert (wrong.status_code, error_of(wrong)["type"]) == (405, "invalid_request_error")
    elsewhere = front.client.get("/v1/nope", headers={"anthropic-version": "2023-06-01"})
    assert error_of(elsewhere)["type"] == "not_found_error"


def test_keys_are_asked_for(start):
    front = start(api_key=["secret-key"])
    for headers, status in [
        ({}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": "secret-key"}, 200),
        ({"Authorization": "Bearer secret-key"}, 200),
    ]:
        for path in (MESSAGES, COUNT):
            response = front.post(path, body_of(), headers=headers)
            assert response.status_code == status
            if status == 401:
                assert error_of(response)["type"] == "authentication_error"


def test_the_official_client(front):
    with anthropic_client_of(front) as client:
        message = client.messages.create(model="claude", max_tokens=9, messages=HI)
        assert message.content[0].text == "hello big world"
        assert message.usage.output_tokens == 3
        assert message._request_id
        with client.messages.stream(model="claude", max_tokens=9, messages=HI) as stream:
            assert "".join(stream.text_stream) == "hello big world"
            assert stream.get_final_message().stop_reason == "end_turn"
        counted = client.messages.count_tokens(model="claude", messages=HI)
        assert counted.input_tokens == message.usage.input_tokens + (
            message.usage.cache_read_input_tokens or 0
        )
        beta = client.beta.messages.create(model="x", max_tokens=9, messages=HI, betas=["a"])
        assert beta.content[0].text == "hello big world"


@pytest.mark.parametrize(
    ("content", "n_asked", "kind"),
    [("x " * 200, 1, anthropic.BadRequestError), ("#refuse", 2, anthropic.InternalServerError)],
)
def test_the_official_client_asks_again_only_where_that_helps(start, content, n_asked, kind):
    front = start(engine={"n_ctx": 128})
    with anthropic_client_of(front, max_retries=1) as client, pytest.raises(kind) as caught:
        client.messages.create(
            model="x", max_tokens=9, messages=[{"role": "user", "content": content}]
        )
    assert caught.value.request_id
    assert sum(counted(front, "http_responses").values()) == n_asked


def test_the_official_client_lists_models(start):
    front = start(models=("one", "three", "two"))
    with anthropic_client_of(front) as client:
        first = client.models.list(limit=2)
        assert [model.id for model in first.data] == ["one", "three"]
        assert [model.id for model in client.models.list(limit=1)] == ["one", "three", "two"]
        before = client.models.list(before_id="two", limit=1)
        assert ([model.id for model in before.data], before.has_more) == (["three"], True)
        model = client.models.retrieve("two")
        assert (model.display_name, model.max_input_tokens) == ("two", 4096)
        with pytest.raises(anthropic.NotFoundError):
            client.models.retrieve("four")
        for wrong in ({"limit": 0}, {"after_id": "four"}):
            with pytest.raises(anthropic.BadRequestError):
                client.models.list(**wrong)
