"""The official client of OpenAI: sync and async, tools, structured output, errors, retries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pydantic
import pytest

from tests.clients.conftest import FIRST, MODEL, NARROW, SECOND, TIMEOUT_S

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
GREEDY: dict[str, Any] = {"model": MODEL, "temperature": 0, "extra_body": {"deterministic": True}}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "The weather of a city", "parameters": CITY}
TOOL: Any = {"type": "function", "function": FUNCTION}


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


@pytest.fixture
def make(base_url: str) -> Iterator[Any]:
    """Makes clients by key, which fail on what is not as their types say."""
    made: list[openai.OpenAI] = []

    def client_of(key: str = FIRST, **options: Any) -> openai.OpenAI:
        options = {"max_retries": 0, "timeout": TIMEOUT_S, **options}
        made.append(
            openai.OpenAI(
                api_key=key, base_url=base_url, _strict_response_validation=True, **options
            )
        )
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def test_plain_streamed_and_async_answers_are_one(
    make: Any, base_url: str, runner: asyncio.Runner
) -> None:
    asked = {**GREEDY, "messages": HELLO, "max_tokens": 16}
    client = make()
    plain = client.chat.completions.create(**asked).choices[0].message.content
    chunks = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain

    async def both() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(api_key=FIRST, base_url=base_url) as other:
            first, stream = await asyncio.gather(
                other.chat.completions.create(**asked),
                other.chat.completions.create(**asked, stream=True),
            )
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return first.choices[0].message.content, "".join(parts)

    assert runner.run(both()) == (plain, plain)


def test_completions_responses_and_vectors(make: Any) -> None:
    client = make()
    text = client.completions.create(**GREEDY, prompt="One, two,", max_tokens=4, logprobs=1)
    assert "".join(text.choices[0].logprobs.tokens) == text.choices[0].text
    asked = {**GREEDY, "input": "Say hello.", "max_output_tokens": 16}
    plain = client.responses.create(**asked)
    *_, last = client.responses.create(**asked, stream=True)
    assert last.response.output_text == plain.output_text
    vectors = client.embeddings.create(
        model=MODEL, input=["a fox", "a dog"], dimensions=64, encoding_format="float"
    )
    assert [len(item.embedding) for item in vectors.data] == [64, 64]
    assert [model.id for model in client.models.list()] == [MODEL]


def chat_loop(client: openai.OpenAI, is_streamed: bool) -> list[Any]:
    """A call, its result, and the answer to that."""

    def ask(turns: list[Any], **more: Any) -> Any:
        fields = {"model": MODEL, "temperature": 0, "max_tokens": 60, "tools": [TOOL], **more}
        if not is_streamed:
            return client.chat.completions.create(messages=turns, **fields)
        usage = {"stream_options": {"include_usage": True}}
        with client.chat.completions.stream(messages=turns, **fields, **usage) as stream:
            return stream.get_final_completion()

    turns: list[Any] = [
        {
            "role": "system",
            "content": "This test of chats alone is told to speak so.",
        },
        {"role": "user", "content": "What is the weather in Paris?"},
    ]
    first = ask(turns, tool_choice={"type": "function", "function": {"name": "weather"}})
    (choice,) = first.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason in ("tool_calls", "stop")
    jsonschema.validate(json.loads(call.function.arguments), CITY)
    said = {"id": call.id, "type": "function"}
    said["function"] = {"name": call.function.name, "arguments": call.function.arguments}
    turns.append({"role": "assistant", "tool_calls": [said]})
    turns.append({"role": "tool", "tool_call_id": call.id, "content": "It rains."})
    second = ask(turns, tool_choice="none")
    assert second.choices[0].message.content
    return [first, second]


def test_two_turns_with_a_tool_share_a_prefix_with_their_tenant_alone(make: Any) -> None:
    def n_cached(completion: Any) -> int:
        return int(completion.usage.prompt_tokens_details.cached_tokens)

    chat_loop(make(FIRST), is_streamed=False)
    again, _ = chat_loop(make(FIRST), is_streamed=True)
    other, followed = chat_loop(make(SECOND), is_streamed=True)
    assert n_cached(again) > 0
    assert n_cached(other) < 8  # the head of every prompt
    assert n_cached(followed) > 0


@pytest.mark.parametrize("is_streamed", [False, True])
def test_two_turns_of_responses_with_a_tool(make: Any, is_streamed: bool) -> None:
    client = make(SECOND)

    def ask(**fields: Any) -> Any:
        fields = {**GREEDY, "max_output_tokens": 60, **fields}
        if not is_streamed:
            return client.responses.create(**fields)
        *_, last = client.responses.create(**fields, stream=True)
        return last.response

    tools = {"tools": [{"type": "function", **FUNCTION, "strict": True}]}
    first = ask(input="The weather in Rome?", tool_choice="required", **tools)
    (call,) = first.output
    assert (call.type, call.name) == ("function_call", "weather")
    jsonschema.validate(json.loads(call.arguments), CITY)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    second = ask(input=[{"role": "user", "content": "The weather in Rome?"}, call, output])
    assert second.output_text


def test_calls_in_all_forms_follow_their_schemas(make: Any) -> None:
    client = make()
    asked: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 80}
    several = client.chat.completions.create(
        **asked, tools=[TOOL], tool_choice="required", parallel_tool_calls=True, n=3, seed=1
    )
    called = [c.message.tool_calls for c in several.choices if c.finish_reason == "tool_calls"]
    assert called
    for call in [call for calls in called for call in calls]:
        jsonschema.validate(json.loads(call.function.arguments), CITY)
    older = client.chat.completions.create(
        **asked, functions=[FUNCTION], function_call={"name": "weather"}, temperature=0
    )
    assert older.choices[0].finish_reason == "function_call"
    jsonschema.validate(json.loads(older.choices[0].message.function_call.arguments), CITY)
    parsed = client.chat.completions.parse(
        **asked,
        tools=[openai.pydantic_function_tool(Person, name="person")],
        tool_choice="required",
        temperature=0,
    )
    assert isinstance(parsed.choices[0].message.tool_calls[0].function.parsed_arguments, Person)


def test_answers_become_objects(make: Any) -> None:
    client = make()
    said = [{"role": "user", "content": "Anna is 31 years old."}]
    asked = {"model": MODEL, "temperature": 0}
    chat = client.chat.completions.parse(
        messages=said, response_format=Person, max_tokens=80, **asked
    )
    answer = client.responses.parse(input=said, text_format=Person, max_output_tokens=80, **asked)
    assert isinstance(chat.choices[0].message.parsed, Person)
    assert isinstance(answer.output_parsed, Person)


def test_errors_are_the_clients_own(make: Any) -> None:
    with pytest.raises(openai.AuthenticationError):
        make("sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError):
        make().models.retrieve("nothing")
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            make(max_retries=2).chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "word " * 9000}], stream=stream
            )
        assert caught.value.code == "context_length_exceeded"


def test_a_key_that_is_busy_is_asked_again(make: Any) -> None:
    asked = {"model": MODEL, "messages": HELLO, "max_tokens": 4}
    endless = {"max_tokens": 8000, "stream": True, "extra_body": {"ignore_eos": True}}
    held = make(NARROW).chat.completions.create(**{**asked, **endless})
    next(held)
    with pytest.raises(openai.RateLimitError) as caught:
        make(NARROW).chat.completions.create(**asked)
    assert int(caught.value.response.headers["Retry-After"]) >= 1
    statuses: list[int] = []

    def release(response: Any) -> None:
        statuses.append(response.status_code)
        held.close()

    http_client = openai.DefaultHttpxClient(event_hooks={"response": [release]})
    patient = make(NARROW, http_client=http_client, max_retries=9)
    assert patient.chat.completions.create(**asked).choices
    assert (statuses[0], statuses[-1]) == (429, 200)
