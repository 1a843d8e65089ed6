"""LiteLLM, which translates between the APIs: each way in, tools, structured output, errors."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # prices are not fetched

import litellm
import pydantic
import pytest

from tests.clients.conftest import FIRST, MODEL, SECOND, TIMEOUT_S
from tests.support.server import ServerProcess

HELLO = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


def fields_of(server: ServerProcess, family: str, key: str = FIRST) -> dict[str, Any]:
    base = f"{server.url}/v1" if family == "openai" else server.url
    return {
        "model": f"{family}/{MODEL}",
        "api_base": base,
        "api_key": key,
        "temperature": 0,
        "timeout": TIMEOUT_S,
    }


FAMILIES = ["openai", "anthropic", "ollama_chat"]


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_streamed_and_async_answers_are_one(
    server: ServerProcess, family: str, runner: asyncio.Runner
) -> None:
    asked = {**fields_of(server, family), "messages": HELLO, "max_tokens": 12}
    plain = litellm.completion(**asked).choices[0].message.content
    assert plain
    chunks = litellm.completion(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain

    async def ask() -> Any:
        return await litellm.acompletion(**asked)

    assert runner.run(ask()).choices[0].message.content == plain


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_two_turns_with_a_tool(server: ServerProcess, family: str, stream: bool) -> None:
    asked = {**fields_of(server, family, SECOND), "max_tokens": 60, "tools": [TOOL]}
    turns: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    choice = {"type": "function", "function": {"name": "weather"}}
    answer = litellm.completion(**asked, messages=turns, tool_choice=choice, stream=stream)
    if stream:
        answer = litellm.stream_chunk_builder(list(answer))
    message = answer.choices[0].message
    (call,) = message.tool_calls
    assert "city" in json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
    turns += [message.model_dump(exclude_none=True), result]
    second = litellm.completion(**asked, messages=turns, tool_choice="none")
    assert second.choices[0].message.content


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_follow_a_schema(server: ServerProcess, family: str) -> None:
    said = [{"role": "user", "content": "Anna is 31 years old."}]
    answer = litellm.completion(
        **fields_of(server, family), messages=said, response_format=Person, max_tokens=100
    )
    assert Person.model_validate_json(answer.choices[0].message.content)


def test_responses_completions_and_vectors(server: ServerProcess) -> None:
    asked = fields_of(server, "openai")
    del asked["temperature"]
    answer = litellm.responses(**asked, input="Say hello.", max_output_tokens=12)
    assert answer.output[0].content[0].text
    vectors = litellm.embedding(**asked, input=["a fox", "a dog"])
    assert len(vectors.data) == 2
    asked["model"] = f"text-completion-openai/{MODEL}"
    assert litellm.text_completion(**asked, prompt="One, two,", max_tokens=4).choices[0].text


def test_errors_are_the_clients_own(server: ServerProcess) -> None:
    long = [{"role": "user", "content": "word " * 9000}]
    for family in ("openai", "anthropic"):
        with pytest.raises(litellm.AuthenticationError):
            litellm.completion(**fields_of(server, family, "sk-wrong"), messages=HELLO)
        with pytest.raises(litellm.ContextWindowExceededError):
            litellm.completion(**fields_of(server, family), messages=long)
