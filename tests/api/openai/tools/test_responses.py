"""Calls and thoughts in the Responses API."""

from __future__ import annotations

import json

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.client import client_of
from tests.support.front import RESPONSES

TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
THINKING = "{% if tools %}<tool_call>{% endif %}<think></think>"


@pytest.fixture
def say(start):
    """A front whose model thinks, and says the given text."""
    return lambda text: start(FakeScript(texts=(text,)), chat_template=THINKING)


def typed(response):
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_an_answer_comes_in_items(say):
    body = {"input": "x", "tools": [TOOL]}
    answer = say(f"<think>Hm</think>\nI look. {CALL}").post(RESPONSES, body).get_json()
    thoughts, message, call = answer["output"]
    assert thoughts["type"] == "reasoning"
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "Hm"}]
    assert message["content"][0]["text"] == "I look."
    assert call["type"] == "function_call"
    assert (call["name"], json.loads(call["arguments"])) == ("weather", {"city": "Oslo"})
    assert call["call_id"].startswith("call_")
    assert call["id"].startswith("fc_")
    assert answer["usage"]["output_tokens_details"]["reasoning_tokens"] == 1
    assert answer["tools"] == [{**TOOL, "description": None, "strict": False}]


def test_a_stream_ends_with_the_plain_answer(say):
    front = say(f"<think>Hm hm</think>\nI look. {CALL} {CALL}")
    body = {"input": "x", "tools": [TOOL]}
    plain = front.post(RESPONSES, body).get_json()
    events = typed(front.post(RESPONSES, {**body, "stream": True}))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    streamed = events[-1]["response"]
    for item in [*plain["output"], *streamed["output"]]:
        item.pop("id")
        item.pop("call_id", None)
    assert streamed["output"] == plain["output"]
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds.count("output_item.added") == kinds.count("output_item.done") == 4
    deltas = [e for e in events if e["type"] == "response.function_call_arguments.delta"]
    done = [e for e in events if e["type"] == "response.function_call_arguments.done"]
    assert [e["output_index"] for e in done] == [2, 3]
    for event in done:
        joined = "".join(e["delta"] for e in deltas if e["item_id"] == event["item_id"])
        assert joined == event["arguments"] == '{"city": "Oslo"}'
    thoughts = [e["delta"] for e in events if e["type"] == "response.reasoning_text.delta"]
    assert "".join(thoughts) == "Hm hm"


def test_items_that_are_sent_back_become_calls_and_results(say):
    front = say("fine")
    items = [
        {"role": "user", "content": "Weather?"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
        },
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
    ]
    assert front.post(RESPONSES, {"input": items}).status_code == 200
    _, assistant, result = front.core.requests[-1].messages
    assert assistant["reasoning_content"] == "Hm"
    assert assistant["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert result == {"role": "tool", "content": "rain", "tool_call_id": "c"}


@pytest.mark.parametrize("is_strict", [False, True])
def test_the_official_client_calls(say, is_strict):
    with client_of(say(CALL), is_strict=is_strict) as client:
        answer = client.responses.create(model="m", input="x", tools=[TOOL], tool_choice="required")
        (call,) = answer.output
        assert (call.type, call.name, call.arguments) == (
            "function_call",
            "weather",
            '{"city": "Oslo"}',
        )
        with client.responses.stream(model="m", input="x", tools=[TOOL]) as stream:
            (call,) = stream.get_final_response().output
        assert call.arguments == '{"city": "Oslo"}'
