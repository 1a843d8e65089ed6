"""Functions called by the default model, whose template knows none, through the official client."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import openai
import pydantic
import pytest

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
CLOCK = {"type": "object", "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 23}}}
PARAMETERS = {"get_weather": CITY, "set_clock": CLOCK}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "description": name.replace("_", " "), "parameters": schema},
    }
    for name, schema in PARAMETERS.items()
]
NAMED: Any = {"type": "function", "function": {"name": "set_clock"}}
MESSAGES: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    fields = {"messages": MESSAGES, "tools": TOOLS, "max_tokens": 160, "temperature": 0, **fields}
    return client.chat.completions.create(model=MODEL, **fields)


def check(call: Any) -> None:
    jsonschema.validate(json.loads(call.function.arguments), PARAMETERS[call.function.name])


def test_a_required_call_follows_its_schema(client: openai.OpenAI) -> None:
    (choice,) = ask(client, tool_choice="required").choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    check(call)


def test_a_named_function_is_called(client: openai.OpenAI) -> None:
    for choice in ask(client, tool_choice=NAMED, n=2, temperature=1, seed=1).choices:
        (call,) = choice.message.tool_calls
        assert call.function.name == "set_clock"
        check(call)


def test_several_calls_are_made_where_they_may_be(client: openai.OpenAI) -> None:
    asked = ask(client, tool_choice="required", parallel_tool_calls=True, temperature=1, n=3)
    calls = [c.message.tool_calls for c in asked.choices if c.finish_reason == "tool_calls"]
    assert calls
    for call in [call for several in calls for call in several]:
        check(call)


def test_an_answer_may_be_words_or_calls(client: openai.OpenAI) -> None:
    for choice in ask(client, n=2, temperature=1, seed=3, max_tokens=80).choices:
        for call in choice.message.tool_calls or []:
            check(call)
        assert choice.message.tool_calls or choice.message.content
    (choice,) = ask(client, tool_choice="none").choices
    assert choice.message.tool_calls is None


def test_a_stream_is_the_plain_answer(client: openai.OpenAI) -> None:
    plain = ask(client, tool_choice="required").choices[0].message.tool_calls[0].function
    with client.chat.completions.stream(
        model=MODEL,
        messages=MESSAGES,
        tools=TOOLS,
        tool_choice="required",
        max_tokens=160,
        temperature=0,
    ) as stream:
        (choice,) = stream.get_final_completion().choices
    function = choice.message.tool_calls[0].function
    assert (function.name, function.arguments) == (plain.name, plain.arguments)
    assert choice.finish_reason == "tool_calls"


def test_the_result_of_a_call_is_answered(client: openai.OpenAI) -> None:
    first = ask(client, tool_choice="required").choices[0].message
    result = {
        "role": "tool",
        "tool_call_id": first.tool_calls[0].id,
        "content": "It is sunny, 22 degrees.",
    }
    (choice,) = ask(client, messages=[*MESSAGES, first, result], tool_choice="none").choices
    assert choice.message.content


def test_functions_are_called_in_their_own_form(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        functions=[tool["function"] for tool in TOOLS],
        function_call={"name": "get_weather"},
        max_tokens=160,
        temperature=0,
    )
    (choice,) = completion.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    jsonschema.validate(json.loads(choice.message.function_call.arguments), CITY)


def test_the_official_client_parses_arguments(client: openai.OpenAI) -> None:
    class Move(pydantic.BaseModel):
        to: str = pydantic.Field(max_length=20)
        steps: int

    completion = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Go three steps north."}],
        tools=[openai.pydantic_function_tool(Move, name="move")],
        tool_choice="required",
        max_tokens=160,
        temperature=0,
    )
    (call,) = completion.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Move)


def test_responses_call_functions_and_take_their_output(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", **tool["function"]} for tool in TOOLS]
    answer = client.responses.create(
        model=MODEL,
        input="Weather in Paris?",
        tools=tools,
        tool_choice="required",
        temperature=0,
        max_output_tokens=160,
    )
    (call,) = answer.output
    assert call.type == "function_call"
    jsonschema.validate(json.loads(call.arguments), PARAMETERS[call.name])
    turns: Any = [
        {"role": "user", "content": "Weather in Paris?"},
        call,
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    again = client.responses.create(model=MODEL, input=turns, max_output_tokens=20)
    assert again.output_text
