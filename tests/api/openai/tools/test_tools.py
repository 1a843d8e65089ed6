"""Functions that the model may call: what is sent to the engine, and what comes back."""

from __future__ import annotations

import json
import re

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, chat_body, error_of, events_of

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "The weather now", "parameters": CITY}
TIME = {"name": "time"}
TOOLS = [{"type": "function", "function": WEATHER}, {"type": "function", "function": TIME}]
WEATHER_CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
TIME_CALL = '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'
NAMED = {"type": "function", "function": {"name": "time"}}


@pytest.fixture
def say(start):
    """A front whose model says the given texts."""
    return lambda *texts: start(FakeScript(texts=texts))


def message_of(response):
    assert response.status_code == 200, response.text
    (choice,) = response.get_json()["choices"]
    return choice["message"], choice["finish_reason"]


def test_calls_come_with_ids_and_without_content(say):
    message, reason = message_of(say(WEATHER_CALL).post(CHAT, chat_body(tools=TOOLS)))
    (call,) = message["tool_calls"]
    assert re.fullmatch(r"call_[0-9A-Za-z]{24}", call.pop("id"))
    assert call == {
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
    }
    assert (message["content"], reason) == (None, "tool_calls")


def test_several_calls_follow_a_text(say):
    front = say(f"I look. {WEATHER_CALL}\n{TIME_CALL}")
    message, _ = message_of(front.post(CHAT, chat_body(tools=TOOLS)))
    assert message["content"] == "I look."
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["weather", "time"]
    assert len({call["id"] for call in message["tool_calls"]}) == 2


def test_an_answer_without_a_call_is_as_it_is(say):
    message, reason = message_of(say(" Hi \n").post(CHAT, chat_body(tools=TOOLS)))
    assert (message["content"], reason) == (" Hi \n", "stop")
    assert "tool_calls" not in message


def test_a_call_that_is_cut_off_ends_with_length(say):
    front = say(WEATHER_CALL)
    message, reason = message_of(front.post(CHAT, chat_body(tools=TOOLS, max_tokens=5)))
    assert reason == "length"
    assert message["tool_calls"][0]["function"]["arguments"] == '{"city":'


def test_a_stream_gives_id_and_name_once_and_the_arguments_in_pieces(say):
    body = chat_body(tools=TOOLS, stream=True, logprobs=True)
    *events, done = events_of(say(f"Well {WEATHER_CALL} {TIME_CALL}").post(CHAT, body))
    assert done == "[DONE]"
    choices = [event["choices"][0] for event in events]
    deltas = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
    first = [delta for delta in deltas if "id" in delta]
    assert [(d["index"], d["type"], d["function"]) for d in first] == [
        (0, "function", {"name": "weather", "arguments": ""}),
        (1, "function", {"name": "time", "arguments": ""}),
    ]
    assert all(set(d) == {"index", "function"} for d in deltas if "id" not in d)
    joined = [
        "".join(d["function"]["arguments"] for d in deltas if d["index"] == i) for i in (0, 1)
    ]
    assert joined == ['{"city": "Oslo"}', "{}"]
    assert choices[-1]["finish_reason"] == "tool_calls"
    tokens = [token for c in choices if c["logprobs"] for token in c["logprobs"]["content"]]
    assert "".join(token["token"] for token in tokens) == f"Well {WEATHER_CALL} {TIME_CALL}"


def test_functions_are_answered_in_their_own_form(say):
    body = chat_body(functions=[WEATHER], function_call={"name": "weather"})
    message, reason = message_of(say(WEATHER_CALL).post(CHAT, body))
    assert message["function_call"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert (message["content"], reason) == (None, "function_call")
    assert "tool_calls" not in message
    *events, _ = events_of(say(WEATHER_CALL).post(CHAT, {**body, "stream": True}))
    deltas = [event["choices"][0]["delta"].get("function_call") for event in events]
    first, *rest = [delta for delta in deltas if delta]
    assert first == {"name": "weather", "arguments": ""}
    assert json.loads("".join(delta["arguments"] for delta in rest)) == {"city": "Oslo"}


def test_a_template_without_tools_gets_a_description_of_them(front):
    front.post(CHAT, chat_body(tools=TOOLS))
    (request,) = front.core.requests
    system, user = request.messages
    assert system["role"] == "system"
    assert json.dumps(CITY, sort_keys=True) in system["content"]
    assert user == {"role": "user", "content": "hello big world"}
    assert request.template is None


def test_a_template_with_tools_gets_them_as_they_are(start):
    front = start(chat_template="{% for tool in tools %}<tool_call>{% endfor %}")
    front.post(CHAT, chat_body(tools=TOOLS))
    (request,) = front.core.requests
    (user,) = request.messages
    assert user == {"role": "user", "content": "hello big world"}
    assert [tool["function"]["name"] for tool in request.template.tools] == ["weather", "time"]


@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"tools": []}, {"tools": None}])
def test_without_a_choice_there_are_no_tools(front, fields):
    front.post(CHAT, chat_body(**{"tools": TOOLS, **fields}))
    (request,) = front.core.requests
    assert request.grammar == ""
    assert [message["role"] for message in request.messages] == ["user"]


@pytest.mark.parametrize(
    "choice",
    [
        NAMED,
        {"type": "function", "name": "time"},
        json.dumps(NAMED),
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}},
        {"type": "allowed_tools", "mode": "required", "tools": [NAMED]},
    ],
)
def test_a_choice_is_in_the_grammar(front, choice):
    front.post(CHAT, chat_body(tools=TOOLS, tool_choice=choice))
    (request,) = front.core.requests
    assert r'"\"time\""' in request.grammar
    assert r'"\"weather\""' not in request.grammar


def test_calls_and_results_of_a_conversation_become_text_for_such_a_template(front):
    city = {"city": "Århus"}  # as an object: some clients do not write it as a text
    calls = [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": city}},
        {"id": "b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "noon"},
        {"role": "tool", "tool_call_id": "unknown", "content": [{"type": "text", "text": "rain"}]},
    ]
    assert front.post(CHAT, {"messages": messages}).status_code == 200
    _, assistant, result = front.core.requests[0].messages
    assert assistant["content"].count("<tool_call>") == 2
    assert '{"city": "Århus"}' in assistant["content"]
    assert "tool_calls" not in assistant
    assert result == {
        "role": "user",
        "content": "Result of time: noon\nResult of the function: rain",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [*TOOLS, TOOLS[1]]}, "tools.2.name"),
        ({"tools": TOOLS * 257}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a" * 129}}]},
            "tools.0.function.name",
        ),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"tools": TOOLS, "tool_choice": "always"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "functions": [TIME]}, "functions"),
        ({"functions": [TIME], "function_call": {"name": "x"}}, "function_call"),
        ({"functions": [TIME, TIME]}, "functions.1.name"),
        ({"tools": TOOLS, "parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"chat_template_kwargs": {"enable_thinking": 1}}, "chat_template_kwargs.enable_thinking"),
        ({"chat_template_kwargs": {"messages": "x"}}, "chat_template_kwargs.messages"),
        ({"chat_template_kwargs": {"xml_tools": "x" * 5000}}, "chat_template_kwargs.xml_tools"),
        ({"chat_template_kwargs": {"a b": 1}}, "chat_template_kwargs.a b"),
        ({"chat_template_kwargs": {f"v{i}": i for i in range(65)}}, "chat_template_kwargs"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_format": "other"}, "reasoning_format"),
        ({"thinking_budget_tokens": -2}, "thinking_budget_tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(front, fields, param):
    response = front.post(CHAT, chat_body(**fields))
    assert response.status_code == 400
    assert error_of(response)["param"] == param


def test_a_strict_schema_is_enforced_or_refused_by_its_path(front):
    loose = {"type": "object", "properties": {"a": {"type": "number", "minimum": 1}}}
    function = {"name": "f", "parameters": loose}
    body = chat_body(tools=[{"type": "function", "function": function}])
    assert front.post(CHAT, body).status_code == 200
    function["strict"] = True
    error = error_of(front.post(CHAT, body))
    assert error["param"] == "tools.0.function.parameters.additionalProperties"
    assert error["code"] == "invalid_schema"
    function["parameters"] = {"type": "string"}
    error = error_of(front.post(CHAT, body))
    assert error["param"] == "tools.0.function.parameters.type"


def test_a_schema_in_capitals_with_named_parts_is_enforced_as_any(front):
    """As clients of Gemini and generators of JSON Schema write them; the prompt has it as it is."""
    parameters = {
        "$id": "https://example.com/place",
        "type": "OBJECT",
        "properties": {"city": {"$ref": "#city"}},
        "required": ["city"],
        "$defs": {"c": {"$anchor": "city", "type": "STRING"}},
    }
    plain = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    asked = []
    for schema in (parameters, plain):
        function = {"name": "f", "parameters": schema}
        body = chat_body(tools=[{"type": "function", "function": function}], tool_choice="required")
        response = front.post(CHAT, body)
        assert response.status_code == 200, response.text
        assert "X-Unenforced" not in response.headers
        asked.append(front.core.requests[-1])
    assert asked[0].grammar == asked[1].grammar != ""
    assert "OBJECT" in json.dumps(asked[0].messages)


def test_text_beside_calls_can_be_held_to_a_schema(front):
    body = chat_body(tools=TOOLS, response_format={"type": "json_object"})
    assert front.post(CHAT, body).status_code == 200
    (request,) = front.core.requests
    assert "<tool_call>" in request.grammar
    assert "part0-root" in request.grammar


IDS = ("call_a", "call_b")
ASKED_TWICE = [
    {"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in IDS
]
USE = [{"type": "tool_use", "id": each, "name": "f", "input": {}} for each in IDS]
BACKWARDS = [{"role": "tool", "tool_call_id": each, "content": each} for each in IDS[::-1]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"role": "assistant", "tool_calls": ASKED_TWICE}, *BACKWARDS]}),
        (
            "/v1/messages",
            {
                "max_tokens": 1,
                "messages": [
                    {"role": "user", "content": "?"},
                    {"role": "assistant", "content": USE},
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": each, "content": each}
                            for each in IDS[::-1]
                        ],
                    },
                ],
            },
        ),
        (
            "/v1/responses",
            {
                "input": [
                    *(
                        {"type": "function_call", "call_id": each, "name": "f", "arguments": "{}"}
                        for each in IDS
                    ),
                    *(
                        {"type": "function_call_output", "call_id": each, "output": each}
                        for each in IDS[::-1]
                    ),
                ]
            },
        ),
        (
            "/api/chat",
            {
                "model": "tiny",
                "messages": [
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [
                            {"id": each, "function": {"name": "f", "arguments": {}}} for each in IDS
                        ],
                    },
                    *BACKWARDS,
                ],
            },
        ),
    ],
)
def test_results_reach_the_template_in_the_order_of_their_calls(start, path, body):
    front = start(chat_template="tools <tool_call>")
    assert front.post(path, body).status_code == 200
    shown = [m["content"] for m in front.core.requests[-1].messages if m["role"] == "tool"]
    assert shown == list(IDS)
