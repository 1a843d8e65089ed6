"""The official client of Anthropic: sync and async, tools, structured output, errors, retries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema
import pytest

from tests.clients.conftest import FIRST, MODEL, NARROW, SECOND, TIMEOUT_S
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
WEATHER: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
GREEDY = {"temperature": 0, "deterministic": True}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
HOUR = {"type": "object", "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 23}}}
TOOL: Any = {"name": "weather", "description": "The weather of a city", "input_schema": CITY}
CLOCK: Any = {"name": "clock", "description": "Sets the clock", "input_schema": HOUR}


@pytest.fixture
def make(server: ServerProcess) -> Iterator[Any]:
    """Makes clients by key, which fail on what is not as their types say."""
    made: list[anthropic.Anthropic] = []

    def client_of(key: str = FIRST, **options: Any) -> anthropic.Anthropic:
        options = {"api_key": key, "max_retries": 0, "timeout": TIMEOUT_S, **options}
        made.append(
            anthropic.Anthropic(base_url=server.url, _strict_response_validation=True, **options)
        )
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def test_plain_streamed_and_async_answers_are_one(
    make: Any, server: ServerProcess, runner: asyncio.Runner
) -> None:
    asked: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 16, "extra_body": GREEDY}
    plain = make().messages.create(**asked)
    with make().messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == plain.content[0].text
        streamed = stream.get_final_message()
    assert streamed.usage.output_tokens == plain.usage.output_tokens == 16

    async def ask() -> Any:
        async with (
            anthropic.AsyncAnthropic(api_key=FIRST, base_url=server.url) as client,
            client.messages.stream(**asked) as stream,
        ):
            return await stream.get_final_message()

    assert runner.run(ask()).content[0].text == plain.content[0].text


def loop(client: anthropic.Anthropic, is_streamed: bool) -> list[Any]:
    """A call, its result, and the answer to that."""
    fields: Any = {"model": MODEL, "max_tokens": 60, "tools": [TOOL]}
    fields["extra_body"] = {"temperature": 0}  # what is deterministic takes nothing from the cache

    def ask(turns: list[Any], **more: Any) -> Any:
        if not is_streamed:
            return client.messages.create(messages=turns, **fields, **more)
        with client.messages.stream(messages=turns, **fields, **more) as stream:
            return stream.get_final_message()

    fields["system"] = "Nobody but this test is told to speak of the weather so."
    turns = list(WEATHER)
    first = ask(turns, tool_choice={"type": "tool", "name": "weather"})
    (call,) = first.content
    assert (call.type, first.stop_reason) == ("tool_use", "tool_use")
    jsonschema.validate(call.input, CITY)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
    turns += [first.to_param(), {"role": "user", "content": [result]}]
    second = ask(turns, tool_choice={"type": "none"})
    assert second.content[0].type == "text"
    return [first, second]


def test_two_turns_with_a_tool_share_a_prefix_with_their_tenant_alone(make: Any) -> None:
    def n_cached(*messages: Any) -> int:
        return sum(message.usage.cache_read_input_tokens or 0 for message in messages)

    assert n_cached(*loop(make(FIRST), is_streamed=False)) > 0
    again, _ = loop(make(FIRST), is_streamed=True)
    assert n_cached(again) > 0
    other, followed = loop(make(SECOND), is_streamed=True)
    assert n_cached(other) < 8  # the head of every prompt
    assert n_cached(followed) > 0


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    "choice",
    [
        {"type": "tool", "name": "clock"},
        {"type": "any", "disable_parallel_tool_use": True},
    ],
)
def test_a_call_that_must_come_follows_its_schema(
    make: Any, is_streamed: bool, choice: Any
) -> None:
    fields: Any = {"model": MODEL, "messages": WEATHER, "max_tokens": 80, "extra_body": GREEDY}
    fields |= {"tools": [TOOL, CLOCK], "tool_choice": choice}
    if is_streamed:
        with make().messages.stream(**fields) as stream:
            message = stream.get_final_message()
    else:
        message = make().messages.create(**fields)
    (call,) = message.content
    assert (call.type, message.stop_reason) == ("tool_use", "tool_use")
    (schema,) = [tool["input_schema"] for tool in (TOOL, CLOCK) if tool["name"] == call.name]
    jsonschema.validate(call.input, schema)


def test_a_stop_text_ends_the_answer_and_is_named(make: Any) -> None:
    turns: list[Any] = [
        {"role": "user", "content": "Count to ten."},
        {"role": "assistant", "content": "1, 2, 3, 4,"},
    ]
    message = make().messages.create(
        model=MODEL,
        messages=turns,
        max_tokens=40,
        stop_sequences=["never", "7"],
        extra_body=GREEDY,
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "7")
    assert message.content[0].text.startswith(" 5")


def test_an_answer_is_json_by_a_schema(make: Any) -> None:
    message = make().messages.create(
        model=MODEL,
        messages=[{"role": "user", "content": "I live in Rome."}],
        max_tokens=80,
        output_config={"format": {"type": "json_schema", "schema": CITY}},
    )
    jsonschema.validate(json.loads(message.content[0].text), CITY)


def test_counted_tokens_are_those_of_the_prompt(make: Any) -> None:
    counted = make().messages.count_tokens(model=MODEL, messages=WEATHER, tools=[TOOL])
    usage = make().messages.create(model=MODEL, messages=WEATHER, tools=[TOOL], max_tokens=1).usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted.input_tokens
    (model,) = make().models.list()
    assert (model.id, model.max_input_tokens) == (MODEL, 8192)


def test_errors_are_the_clients_own(make: Any) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        make("sk-wrong").messages.count_tokens(model=MODEL, messages=HELLO)
    long = [{"role": "user", "content": "word " * 9000}]
    statuses: list[int] = []
    hooks: Any = {"response": [lambda response: statuses.append(response.status_code)]}
    client = make(max_retries=2, http_client=anthropic.DefaultHttpxClient(event_hooks=hooks))
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > \d+"):
        client.messages.create(model=MODEL, messages=long, max_tokens=9)
    assert statuses == [400], "it is not asked again"


def test_a_server_that_is_full_is_asked_again(full: ServerProcess) -> None:
    asked: Any = {"model": "x", "max_tokens": 9, "messages": HELLO}
    held_by: Any = [{"role": "user", "content": "#hold=2 x y z"}]
    options: Any = {"base_url": full.url, "api_key": FIRST, "timeout": TIMEOUT_S}
    with anthropic.Anthropic(**options, max_retries=0) as holder:
        held = holder.messages.create(**{**asked, "messages": held_by}, stream=True)
        with pytest.raises(anthropic.OverloadedError) as caught:
            holder.messages.create(**asked)
        assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")
        statuses: list[int] = []

        def release(response: Any) -> None:
            statuses.append(response.status_code)
            held.close()

        http_client = anthropic.DefaultHttpxClient(event_hooks={"response": [release]})
        with anthropic.Anthropic(**options, max_retries=9, http_client=http_client) as client:
            message = client.messages.create(**asked)
    assert message.content[0].text == HELLO[0]["content"]
    assert (statuses[0], statuses[-1]) == (529, 200)


def test_a_key_that_is_busy_is_asked_again(make: Any) -> None:
    asked: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 4}
    endless: Any = {"max_tokens": 8000, "stream": True, "extra_body": {"ignore_eos": True}}
    held = make(NARROW).messages.create(**{**asked, **endless})
    next(held)
    with pytest.raises(anthropic.RateLimitError):
        make(NARROW).messages.create(**asked)
    statuses: list[int] = []

    def release(response: Any) -> None:
        statuses.append(response.status_code)
        held.close()

    http_client = anthropic.DefaultHttpxClient(event_hooks={"response": [release]})
    patient = make(NARROW, http_client=http_client, max_retries=9)
    assert patient.messages.create(**asked).content
    assert (statuses[0], statuses[-1]) == (429, 200)


def test_a_batch_of_messages(make: Any) -> None:
    """Its results are read by the URL that the server tells, and belong to its tenant."""
    client = make()
    fields: Any = {"model": MODEL, "messages": HELLO}
    requests: Any = [
        {"custom_id": "long", "params": {**fields, "max_tokens": 8}},
        {"custom_id": "wrong", "params": {**fields, "max_tokens": -1}},
    ]
    batch = client.messages.batches.create(requests=requests)
    wait_until(
        lambda: client.messages.batches.retrieve(batch.id).processing_status == "ended",
        SOON_S,
        "the batch has ended",
    )
    found = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
    assert found["long"].message.usage.output_tokens == 8
    assert found["wrong"].error.error.type == "invalid_request_error"
    with pytest.raises(anthropic.NotFoundError):
        make(SECOND).messages.batches.retrieve(batch.id)
    assert [each.id for each in client.messages.batches.list()] == [batch.id]
    assert client.messages.batches.cancel(batch.id).processing_status == "ended"
    assert client.messages.batches.delete(batch.id).id == batch.id
