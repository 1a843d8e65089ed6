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
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
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


@pytest.mark.parametrize("arguments", ["{}", {}])
def test_items_that_are_sent_back_become_calls_and_results(say, arguments):
    front = say("fine")
    items = [
        {"role": "user", "content": "Weather?"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
        },
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": arguments},
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


PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'},
}
CUSTOM_CALL = (
    '<tool_call>\n{"name": "apply_patch", "arguments": {"input": "*** a\\nb"}}\n</tool_call>'
)


def test_a_custom_tool_is_called_with_a_text(say):
    front = say(CUSTOM_CALL)
    body = {"input": "x", "tools": [PATCH, {"type": "web_search", "filters": {"a": 1}}]}
    response = front.post(RESPONSES, body)
    (call,) = response.get_json()["output"]
    assert call["type"] == "custom_tool_call"
    assert call["id"].startswith("ctc_")
    assert (call["name"], call["input"], call["status"]) == ("apply_patch", "*** a\nb", "completed")
    assert "namespace" not in call
    assert response.get_json()["tools"] == body["tools"]
    assert response.headers["X-Ignored-Tools"] == "web_search"
    assert "X-Unenforced" not in response.headers
    events = typed(front.post(RESPONSES, {**body, "stream": True}))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[2] == "output_item.added"
    assert kinds[-3:] == ["custom_tool_call_input.done", "output_item.done", "completed"]
    deltas = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == events[-3]["input"] == "*** a\nb"


def test_a_tool_in_a_namespace_is_called_by_both_names(say):
    front = say(CALL.replace('"weather"', '"sky__weather"'))
    tools = [{"type": "namespace", "name": "sky", "description": "d", "tools": [TOOL]}]
    (call,) = front.post(RESPONSES, {"input": "x", "tools": tools}).get_json()["output"]
    assert (call["type"], call["name"], call["namespace"]) == ("function_call", "weather", "sky")


def test_thoughts_come_as_a_summary_if_one_is_wanted(say):
    front = say("<think>Hm hm</think>\nfine")
    body = {
        "input": "x",
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    answer = front.post(RESPONSES, body).get_json()
    thoughts, message = answer["output"]
    assert thoughts["summary"] == [{"type": "summary_text", "text": "Hm hm"}]
    assert thoughts["content"] == []
    assert answer["reasoning"] == {"effort": None, "summary": "auto"}
    events = typed(front.post(RESPONSES, {**body, "stream": True}))
    own = [e for e in events if "reasoning" in e["type"]]
    assert [e["type"].removeprefix("response.reasoning_summary_") for e in own] == [
        "part.added",
        *["text.delta"] * (len(own) - 3),
        "text.done",
        "part.done",
    ]
    assert {e["summary_index"] for e in own} == {0}
    sent_back = {"type": "reasoning", "encrypted_content": thoughts["encrypted_content"]}
    items = [{"role": "user", "content": "x"}, {**sent_back, "summary": []}, message]
    assert front.post(RESPONSES, {"input": items}).status_code == 200
    assert front.core.requests[-1].messages[-1]["reasoning_content"] == "Hm hm"


def test_a_message_before_a_call_is_a_commentary(say):
    output = say(f"I look. {CALL}").post(RESPONSES, {"input": "x", "tools": [TOOL]}).get_json()
    assert output["output"][0]["phase"] == "commentary"
    output = say("done").post(RESPONSES, {"input": "x"}).get_json()["output"]
    assert output[0]["phase"] == "final_answer"


@pytest.mark.parametrize(
    ("fields", "is_parallel"),
    [
        ({}, False),
        ({"tools": [TOOL]}, True),
        ({"tools": [TOOL], "parallel_tool_calls": True}, True),
        ({"tools": [TOOL], "parallel_tool_calls": False}, False),
        ({"tools": [TOOL], "tool_choice": "none"}, False),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}}, False),
    ],
)
def test_parallel_calls_are_said_where_they_are_possible(say, fields, is_parallel):
    answer = say(CALL).post(RESPONSES, {"input": "x", **fields}).get_json()
    assert answer["parallel_tool_calls"] is is_parallel


def test_tools_that_cannot_be_offered_are_refused_if_so_configured(start):
    front = start(strict_tools=True)
    response = front.post(RESPONSES, {"input": "x", "tools": [{"type": "mcp"}]})
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, "unsupported_tool")


def test_items_that_are_left_out_are_counted_in_a_header(say):
    items = [{"role": "user", "content": "x"}, *[{"type": "web_search_call", "id": "w"}] * 2]
    response = say("fine").post(RESPONSES, {"input": items})
    assert response.headers["X-Ignored-Items"] == "web_search_call; n=2"
    odd = [{"role": "user", "content": "x"}, {"type": "a\r\nSet-Cookie: b"}]
    assert "\n" not in say("fine").post(RESPONSES, {"input": odd}).headers["X-Ignored-Items"]
