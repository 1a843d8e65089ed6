"""Functions called by the default model, whose template knows none."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import openai
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
