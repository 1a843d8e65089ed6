"""The model calls a function of this program, and answers with what it gave."""

from __future__ import annotations

import json

import pyserve

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 40}},
                "required": ["city"],
            },
        },
    }
]


def get_weather(city: str) -> str:
    return f"In {city} it is sunny, 21 degrees."


def main(llm: pyserve.LLM) -> None:
    params = pyserve.SamplingParams(temperature=0, max_tokens=100)
    messages: list[dict[str, object]] = [{"role": "user", "content": "How is the weather in Rome?"}]
    answer = llm.chat(messages, params, tools=TOOLS, tool_choice="required")
    messages.append(answer.message)
    for call in answer.tool_calls:
        result = get_weather(**json.loads(call.arguments))
        print(call.name, call.arguments, "->", result)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    print(llm.chat(messages, params).text)


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
