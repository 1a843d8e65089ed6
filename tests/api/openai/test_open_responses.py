"""The checks of Open Responses' acceptance suite: the cases, and what an answer must have.

Source: openresponses.org, the compliance tests and the schema `ResponseResource`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import RESPONSES, error_of

NUMBER = (int, float)
NULLABLE_TEXT = (str, type(None))
# Every member that is required, and what it may be.
RESPONSE: dict[str, Any] = {
    "id": str,
    "object": str,
    "created_at": int,
    "completed_at": (int, type(None)),
    "status": str,
    "incomplete_details": (dict, type(None)),
    "model": str,
    "previous_response_id": NULLABLE_TEXT,
    "instructions": NULLABLE_TEXT,
    "output": list,
    "error": (dict, type(None)),
    "tools": list,
    "tool_choice": (str, dict),
    "truncation": str,
    "parallel_tool_calls": bool,
    "text": dict,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "top_logprobs": int,
    "temperature": NUMBER,
    "reasoning": (dict, type(None)),
    "usage": (dict, type(None)),
    "max_output_tokens": (int, type(None)),
    "max_tool_calls": (int, type(None)),
    "store": bool,
    "background": bool,
    "service_tier": str,
    "metadata": dict,
    "safety_identifier": NULLABLE_TEXT,
    "prompt_cache_key": NULLABLE_TEXT,
    "user": NULLABLE_TEXT,
}
ITEMS: dict[str, dict[str, Any]] = {
    "message": {"id": str, "status": str, "role": str, "content": list},
    "function_call": {"id": str, "call_id": str, "name": str, "arguments": str, "status": str},
    "reasoning": {"id": str, "summary": list},
}
EVENTS: dict[str, tuple[str, ...]] = {
    "response.created": ("response",),
    "response.in_progress": ("response",),
    "response.completed": ("response",),
    "response.output_item.added": ("output_index", "item"),
    "response.output_item.done": ("output_index", "item"),
    "response.content_part.added": ("item_id", "output_index", "content_index", "part"),
    "response.content_part.done": ("item_id", "output_index", "content_index", "part"),
    "response.output_text.delta": ("item_id", "output_index", "content_index", "delta"),
    "response.output_text.done": ("item_id", "output_index", "content_index", "text"),
    "response.function_call_arguments.delta": ("item_id", "output_index", "delta"),
    "response.function_call_arguments.done": ("item_id", "output_index", "arguments"),
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Oslo"}}\n</tool_call>'
TEMPLATE = "{% if tools %}<tool_call>{% endif %}"


def turn(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **fields}


HISTORY = [
    turn("user", "My name is Alice."),
    turn("assistant", "Hello Alice!", phase="commentary"),
    turn("assistant", "How can I help?", phase="final_answer"),
    turn("user", "What is my name?"),
]
CASES: dict[str, dict[str, Any]] = {
    "basic": {"input": [turn("user", "Say hello in exactly 3 words.")]},
    "system prompt": {"input": [turn("system", "Be a pirate."), turn("user", "Say hello.")]},
    "multi-turn, with phases": {"input": HISTORY},
    "tools": {"input": [turn("user", "What is the weather?")], "tools": [WEATHER]},
}


@pytest.fixture
def say(start):
    return lambda text: start(FakeScript(texts=(text,)), chat_template=TEMPLATE)


def check_members(value: dict[str, Any], members: dict[str, Any]) -> None:
    for name, kinds in members.items():
        assert name in value, name
        assert isinstance(value[name], kinds), (name, value[name])
        assert not (kinds is int and isinstance(value[name], bool)), name


def check_response(response: dict[str, Any]) -> None:
    check_members(response, RESPONSE)
    assert response["object"] == "response"
    for item in response["output"]:
        check_members(item, ITEMS[item["type"]])
    for tool in response["tools"]:
        assert set(tool) >= {"type", "name", "description", "parameters", "strict"}
    usage = response["usage"]
    if usage is not None:
        assert {"input_tokens", "output_tokens", "total_tokens"} <= set(usage)
        assert isinstance(usage["input_tokens_details"]["cached_tokens"], int)
        assert isinstance(usage["output_tokens_details"]["reasoning_tokens"], int)


@pytest.mark.parametrize("case", CASES)
def test_a_plain_response_is_whole(say, case):
    text = CALL if case == "tools" else "Three small words"
    response = say(text).post(RESPONSES, {"model": "m", **CASES[case], "stream": False})
    assert response.status_code == 200
    body = response.get_json()
    check_response(body)
    assert body["status"] == "completed"
    kinds = {item["type"] for item in body["output"]}
    assert kinds == ({"function_call"} if case == "tools" else {"message"})


@pytest.mark.parametrize("case", CASES)
def test_every_event_of_a_stream_is_whole(say, case):
    text = CALL if case == "tools" else "Three small words"
    response = say(text).post(RESPONSES, {"model": "m", **CASES[case], "stream": True})
    assert response.content_type.startswith("text/event-stream")
    *blocks, end, _ = response.text.split("\n\n")
    assert end == "data: [DONE]"
    events = [json.loads(block.split("data: ", 1)[1]) for block in blocks]
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        assert set(EVENTS[event["type"]]) <= set(event)
        if "response" in event:
            check_response(event["response"])
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "response.completed"
    if case == "tools":
        added = events[kinds.index("response.output_item.added")]["item"]
        done = events[kinds.index("response.output_item.done")]["item"]
        assert (added["type"], done["type"]) == ("function_call", "function_call")
        assert "response.function_call_arguments.delta" in kinds
        assert "response.function_call_arguments.done" in kinds


def test_an_answer_says_its_phase(say):
    (message,) = say("hi").post(RESPONSES, CASES["basic"]).get_json()["output"]
    assert message["phase"] == "final_answer"


def test_images_are_refused_by_design(say):
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    content = [{"type": "input_text", "text": "What is this?"}, image]
    response = say("hi").post(RESPONSES, {"input": [turn("user", content)]})
    assert response.status_code == 400
    assert error_of(response)["code"] == "unsupported_content"
