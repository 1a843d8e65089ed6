from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from werkzeug.test import TestResponse

from pyserve.engine.fake.script import FakeScript
from tests.support.front import RESPONSES, error_of
from tests.support.limits import SOON_S

TEXT = "Zoë said\n\ndata: [DONE] \u2028 \U0001f600 fin"
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}


def typed_events(response: TestResponse) -> list[Any]:
    """The events, having checked that each is named after its type and numbered."""
    assert response.status_code == 200
    assert response.content_type.startswith("text/event-stream")
    *blocks, end, rest = response.text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    events = []
    for block in blocks:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def test_a_plain_answer(front):
    fields = {"model": "gpt-4o", "temperature": 0.5, "metadata": {"a": "b"}, "user": "u"}
    response = front.post(RESPONSES, {"input": "Say this", "instructions": "Be kind", **fields})
    body = response.get_json()
    assert response.status_code == 200
    assert body["id"].startswith("resp_")
    assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
    (message,) = body["output"]
    assert message["id"].startswith("msg_")
    assert message["content"] == [
        {"type": "output_text", "text": "Say this", "annotations": [], "logprobs": []}
    ]
    assert (body["temperature"], body["top_p"]) == (0.5, 0.95)
    assert (body["metadata"], body["user"], body["instructions"]) == ({"a": "b"}, "u", "Be kind")
    assert body["model"] == response.headers["X-Model-Resolved"] == "tiny"
    assert body["store"] is True
    (request,) = front.core.requests
    assert request.messages[0] == {"role": "system", "content": "Be kind"}


@pytest.mark.parametrize("path", ["/responses", "/v1/engines/tiny/responses"])
def test_other_paths_lead_to_the_same(front, path):
    output = front.post(path, {"input": "hi"}).get_json()["output"]
    assert output[0]["content"][0]["text"] == "hi"


@pytest.mark.parametrize("fields", [{}, LOGPROBS, {"max_output_tokens": 2}])
def test_a_stream_ends_with_the_plain_answer(start, fields):
    front = start(FakeScript(texts=(TEXT,)))
    plain = front.post(RESPONSES, {"input": "x", **fields}).get_json()
    events = typed_events(front.post(RESPONSES, {"input": "x", "stream": True, **fields}))
    streamed = events[-1]["response"]
    for response in (plain, streamed):
        for key in ("id", "created_at", "completed_at"):
            del response[key]
        del response["output"][0]["id"]
    assert streamed == plain
    part = plain["output"][0]["content"][0]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(event["delta"] for event in deltas) == part["text"]
    assert [token for event in deltas for token in event["logprobs"]] == part["logprobs"]


def test_an_answer_that_is_cut_is_incomplete(front):
    body = front.post(RESPONSES, {"input": "a b c", "max_output_tokens": 2}).get_json()
    assert (body["status"], body["output"][0]["status"]) == ("incomplete", "incomplete")
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["usage"]["output_tokens"] == 2


def test_a_stream_has_the_usual_headers(front):
    response = front.post(RESPONSES, {"input": "x", "stream": True})
    assert response.headers["Cache-Control"] == "no-cache"


def test_a_failure_on_the_way_is_the_last_event(front):
    *_, delta, error, last = typed_events(
        front.post(RESPONSES, {"input": "a b #fail=1", "stream": True})
    )
    assert delta["delta"] == "a"
    assert (error["type"], error["message"]) == ("error", "the script says so")
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["message"] == "the script says so"
    assert front.stream_limit.n_held == 0


@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_first_token_have_their_status(start, stream):
    front = start(engine={"n_ctx": 8})
    too_long = front.post(RESPONSES, {"input": "x " * 20, "stream": stream})
    error = error_of(too_long)
    assert too_long.status_code == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")
    refused = front.post(RESPONSES, {"input": "#refuse", "stream": stream})
    assert (refused.status_code, error_of(refused)["type"]) == (500, "server_error")
    bad = front.post(RESPONSES, {"input": "x", "stream": stream, "previous_response_id": "r"})
    assert (bad.status_code, error_of(bad)["param"]) == (400, "previous_response_id")


def test_closing_a_stream_cancels_its_request(start):
    front = start(FakeScript(hold_after=1))
    response = front.post(RESPONSES, {"input": "a b c", "stream": True})
    assert b"response.created" in next(response.response)
    response.close()
    assert front.core.wait_cancelled(1, SOON_S)
    assert front.stream_limit.n_held == 0


def test_the_official_client(client):
    answer = client.responses.create(model="gpt-4o", input="one two", **LOGPROBS)
    assert answer.output_text == "one two"
    assert answer.usage.total_tokens == answer.usage.input_tokens + 2
    assert [token.token for token in answer.output[0].content[0].logprobs] == ["one", " two"]


def test_the_official_client_sends_answers_back(client, front):
    first = client.responses.create(model="gpt-4o", input="one")
    turns = [{"role": "user", "content": "one"}, *first.output, {"role": "user", "content": "two"}]
    assert client.responses.create(model="gpt-4o", input=turns).output_text == "two"
    roles = [message["role"] for message in front.core.requests[-1].messages]
    assert roles == ["user", "assistant", "user"]


def test_the_official_client_streams(client):
    events = list(client.responses.create(model="gpt-4o", input="one two", stream=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == "one two"
    assert events[-1].response.output_text == text


def test_the_streaming_helper_of_the_official_client(client):
    with client.responses.stream(model="gpt-4o", input="one two") as stream:
        assert stream.get_final_response().output_text == "one two"


def test_the_official_client_types_errors(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="x", input="x", tool_choice={"type": "web_search"})
    assert (caught.value.param, caught.value.code) == ("tool_choice", "unsupported_tool")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")
