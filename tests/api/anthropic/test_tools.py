"""Calls and thoughts in the Messages API."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from pyserve.engine.fake.script import FakeScript
from tests.api.anthropic.test_messages import COUNT, MESSAGES, body_of, error_of, typed_events
from tests.support.anthropic_client import anthropic_client_of

TOOL = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
OTHER = {"name": "time", "input_schema": {"type": "object", "properties": {}}}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
THINKING = "{% if tools %}<tool_call>{% endif %}<think></think>{% if enable_thinking %}"
USE = {"type": "tool_use", "name": "weather", "input": {"city": "Oslo"}}


@pytest.fixture
def say(start):
    """A front whose model thinks, and says the given texts."""
    return lambda *texts: start(FakeScript(texts=texts), chat_template=THINKING)


def without_ids(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in block.items() if k not in ("id", "signature")} for block in content]


def joined(events: list[Any]) -> list[dict[str, Any]]:
    """The blocks of a stream, having checked that they follow each other."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        kind = event["type"]
        if kind.startswith("content_block"):
            assert is_open == (kind != "content_block_start")
            is_open = kind != "content_block_stop"
        if kind == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif kind == "content_block_delta":
            assert event["index"] == len(blocks) - 1
            delta = event["delta"]
            for name in ("text", "thinking", "signature"):
                if name in delta:
                    blocks[-1][name] += delta[name]
            blocks[-1]["json"] += delta.get("partial_json", "")
    for block in blocks:
        arguments = block.pop("json")
        if arguments:
            block["input"] = json.loads(arguments)
    return blocks


def test_an_answer_comes_in_blocks(say):
    front = say(f"<think>Hm</think>\nI look. {CALL}")
    body = front.post(MESSAGES, body_of(tools=[TOOL])).get_json()
    thoughts, text, call = body["content"]
    assert (thoughts["type"], thoughts["thinking"]) == ("thinking", "Hm")
    assert thoughts["signature"]
    assert text == {"type": "text", "text": "I look."}
    assert call.pop("id").startswith("toolu_")
    assert call == USE
    assert body["stop_reason"] == "tool_use"
    assert body["usage"]["output_tokens_details"] == {"thinking_tokens": 1}


def test_a_stream_adds_up_to_the_plain_answer(say):
    front = say(f"<think>Hm hm</think>\nI look. {CALL} {CALL}")
    plain = front.post(MESSAGES, body_of(tools=[TOOL])).get_json()
    events = typed_events(front.post(MESSAGES, body_of(tools=[TOOL], stream=True)))
    blocks = joined(events)
    assert without_ids(blocks) == without_ids(plain["content"])
    assert blocks[0]["signature"] == plain["content"][0]["signature"]
    assert len({block["id"] for block in blocks[2:]}) == 2
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens_details"]["thinking_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "said", "shown"),
    [
        ({"type": "adaptive", "display": "summarized"}, "<think>Hm</think>Hi", ["Hm", "Hi"]),
        ({"type": "adaptive", "display": "omitted"}, "<think>Hm</think>Hi", ["", "Hi"]),
        ({"type": "disabled"}, "<think>Hm</think>Hi", ["Hi"]),
    ],
)
def test_thoughts_are_shown_as_asked_for(say, stream, fields, said, shown):
    response = say(said).post(MESSAGES, body_of(thinking=fields, stream=stream))
    blocks = joined(typed_events(response)) if stream else response.get_json()["content"]
    assert [block.get("thinking", block.get("text")) for block in blocks] == shown


def test_thoughts_that_are_not_shown_come_back_in_their_signature(say):
    front = say("<think>Hm</think>Hi", "fine")
    thinking = {"type": "adaptive", "display": "omitted"}
    first = front.post(MESSAGES, body_of(thinking=thinking)).get_json()
    turns = [
        *body_of()["messages"],
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "go on"},
    ]
    front.post(MESSAGES, {"messages": turns, "max_tokens": 9})
    assert front.core.requests[-1].messages[1]["reasoning_content"] == "Hm"


@pytest.mark.parametrize(
    ("thinking", "effort", "enabled", "n_most"),
    [
        (None, None, None, None),
        ({"type": "disabled"}, "high", False, None),
        ({"type": "enabled", "budget_tokens": 1500}, None, True, 1500),
        ({"type": "enabled"}, None, True, 8192),
        ({"type": "adaptive"}, None, True, 8192),
        ({"type": "adaptive"}, "low", True, 512),
        (None, "medium", True, 2048),
    ],
)
def test_thinking_becomes_template_variables_and_a_limit(say, thinking, effort, enabled, n_most):
    front = say("fine")
    fields = {"output_config": {"effort": effort}} if effort else {}
    front.post(MESSAGES, body_of(max_tokens=4096, thinking=thinking, **fields))
    (request,) = front.core.requests
    variables = request.template.variables if request.template else {}
    assert variables.get("enable_thinking") is enabled
    if n_most is not None:
        assert request.thinking.max_tokens == n_most


@pytest.mark.parametrize(
    ("choice", "calls", "repeats"),
    [
        ({"type": "auto"}, ["weather", "time"], True),
        ({"type": "any"}, ["weather", "time"], True),
        ({"type": "any", "disable_parallel_tool_use": True}, ["weather", "time"], False),
        ({"type": "tool", "name": "time"}, ["time"], False),
        ({"type": "none"}, [], False),
    ],
)
def test_a_choice_of_tools_is_enforced_by_the_grammar(say, choice, calls, repeats):
    front = say("fine")
    body = body_of(tools=[TOOL, OTHER], tool_choice=choice, thinking={"type": "disabled"})
    assert front.post(MESSAGES, body).status_code == 200
    (request,) = front.core.requests
    for name in ("weather", "time"):
        assert (f'\\"{name}\\"' in request.grammar) == (name in calls)
    assert (request.template is not None and bool(request.template.tools)) == bool(calls)


def test_a_schema_of_the_answer_is_enforced(front):
    schema = {"type": "object", "properties": {"a": {"const": "x"}}, "required": ["a"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert front.post(MESSAGES, body_of(output_config=config)).status_code == 200
    assert "x" in front.core.requests[0].grammar
    config["format"]["schema"] = {"type": "strin"}
    refused = front.post(MESSAGES, body_of(output_config=config))
    assert refused.status_code == 400
    assert error_of(refused)["message"].startswith("output_config.format.schema.type")
    config["format"]["schema"] = {"not": {"type": "string"}}
    named = front.post(MESSAGES, body_of(output_config=config))
    assert named.headers["X-Unenforced"] == "$.not"


def test_the_older_name_of_the_format_is_known(front):
    wanted = {"type": "json_schema", "schema": {"const": "xyz"}}
    assert front.post(MESSAGES, body_of(output_format=wanted)).status_code == 200
    assert "xyz" in front.core.requests[0].grammar
    both = front.post(MESSAGES, body_of(output_format=wanted, output_config={"format": wanted}))
    assert both.status_code == 400
    assert error_of(both)["message"].startswith("output_format is the older name")
    wanted["schema"] = {"type": "strin"}
    refused = front.post(MESSAGES, body_of(output_format=wanted))
    assert error_of(refused)["message"].startswith("output_format.schema.type")


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"tools": [{"name": "f", "input_schema": {"type": "string"}}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"tools": [TOOL, TOOL]}, "tools.1.name"),
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "max_tokens"),
    ],
)
def test_what_cannot_be_is_refused_by_name(front, fields, part):
    refused = front.post(MESSAGES, body_of(**fields))
    assert refused.status_code == 400
    assert part in error_of(refused)["message"]


def test_tools_of_others_are_left_out_or_refused(start):
    body = body_of(tools=[{"type": "bash_20250124", "name": "bash"}, TOOL])
    front = start(chat_template=THINKING)
    assert front.post(MESSAGES, body).headers["X-Ignored-Tools"] == "bash_20250124"
    assert [tool["function"]["name"] for tool in front.core.requests[0].template.tools] == [
        "weather"
    ]
    strict = start(strict_tools=True)
    for path in (MESSAGES, COUNT):
        refused = strict.post(path, body)
        assert refused.status_code == 400
        assert error_of(refused)["message"].startswith("tools.0: tools of type 'bash_20250124'")


def test_a_place_counts_the_tools_of_others(front):
    wrong = {"name": "f", "input_schema": {"type": "string"}}
    refused = front.post(MESSAGES, body_of(tools=[{"type": "bash_20250124"}, wrong]))
    assert error_of(refused)["message"].startswith("tools.1.input_schema.type")


def test_the_official_client_runs_a_loop_of_two_turns(say):
    front = say(f"I look. {CALL}", "It is cold.")
    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    with anthropic_client_of(front) as client:
        with client.messages.stream(
            model="x", max_tokens=99, messages=turns, tools=[TOOL]
        ) as stream:
            inputs = [event.snapshot for event in stream if event.type == "input_json"]
            first = stream.get_final_message()
        assert inputs[-1] == {"city": "Oslo"}
        assert first.stop_reason == "tool_use"
        call = first.content[-1]
        assert isinstance(call, anthropic.types.ToolUseBlock)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "-5 °C"}
        turns += [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        second = client.messages.create(model="x", max_tokens=99, messages=turns, tools=[TOOL])
    assert second.content[0].text == "It is cold."
    *_, answer, told = front.core.requests[-1].messages
    assert answer["tool_calls"][0]["function"]["name"] == "weather"
    assert told == {"role": "tool", "content": "-5 °C", "tool_call_id": call.id}


def test_the_tool_runner_of_the_official_client_sends_whole_conversations(say):
    front = say(CALL, "It is cold.")

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"{city}: -5 °C"

    turns: list[Any] = [{"role": "user", "content": "Weather?"}]
    with anthropic_client_of(front) as client:
        runner = client.beta.messages.tool_runner(
            model="x", max_tokens=99, messages=turns, tools=[weather]
        )
        first, second = runner
    assert (first.stop_reason, second.content[0].text) == ("tool_use", "It is cold.")
    roles = [message["role"] for message in front.core.requests[-1].messages]
    assert roles == ["user", "assistant", "tool"]
    assert front.core.requests[-1].messages[-1]["content"] == "Oslo: -5 °C"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('<tool_call>\n{"name": "f", "arguments": {"age": 5}}\n</tool_call>', "$.content[0].input"),
        ('<tool_call>\n{"name": "f", "arguments": {"age": 4}}\n</tool_call>', None),
    ],
)
def test_calls_are_checked_against_what_is_not_enforced(start, text, path, stream):
    front = start(FakeScript(texts=(text,)))
    age = {"type": "integer", "not": {"const": 5}}
    schema = {"type": "object", "properties": {"age": age}, "required": ["age"]}
    tools = [{"name": "f", "input_schema": schema}]
    response = front.post(MESSAGES, body_of(tools=tools, stream=stream))
    assert response.headers["X-Unenforced"] == "tools.0.input_schema.properties.age.not"
    told = typed_events(response)[-2]["delta"] if stream else response.get_json()
    assert told["stop_reason"] == "tool_use"
    assert told.get("schema_violation", {}).get("path") == (path and f"{path}.age")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_checked_against_what_is_not_enforced(start, stream):
    front = start(FakeScript(texts=('{"age":5}',)))
    age = {"type": "integer", "not": {"const": 5}}
    schema = {"type": "object", "properties": {"age": age}, "required": ["age"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    response = front.post(MESSAGES, body_of(output_config=config, stream=stream))
    assert response.headers["X-Unenforced"]
    told = typed_events(response)[-2]["delta"] if stream else response.get_json()
    assert told["schema_violation"]["path"] == "$.content[0].text.age"
