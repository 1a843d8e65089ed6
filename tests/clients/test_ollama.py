"""The official client of Ollama: sync and async, tools, structured output, errors."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import ollama
import pydantic
import pytest

from tests.clients.conftest import CALLER, FIRST, MODEL, SECOND, TIMEOUT_S
from tests.support.server import ServerProcess

GREEDY = {"temperature": 0, "num_predict": 12}
HELLO = [{"role": "user", "content": "Say hello."}]


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def make(server: ServerProcess) -> Iterator[Any]:
    made: list[ollama.Client] = []

    def client_of(key: str = FIRST) -> ollama.Client:
        made.append(ollama.Client(host=server.url, headers=bearer(key), timeout=TIMEOUT_S))
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def test_plain_streamed_and_async_answers_are_one(
    make: Any, server: ServerProcess, runner: asyncio.Runner
) -> None:
    plain = make().chat(MODEL, HELLO, options=GREEDY)
    *parts, last = make().chat(MODEL, HELLO, options=GREEDY, stream=True)
    assert plain.message.content
    assert "".join(part.message.content for part in parts) == plain.message.content
    assert (last.done_reason, last.eval_count) == ("length", 12)
    assert make().generate(f"{MODEL}:latest", "Say hello.", options=GREEDY).response

    async def ask() -> str:
        client = ollama.AsyncClient(host=server.url, headers=bearer(FIRST))
        stream = await client.chat(MODEL, HELLO, options=GREEDY, stream=True)
        return "".join([part.message.content async for part in stream])

    assert runner.run(ask()) == plain.message.content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_two_turns_with_a_tool(caller: ServerProcess, key: str, stream: bool) -> None:
    """The API has no choice of tools: the model's configuration has it call where it can."""
    client = ollama.Client(host=caller.url, headers=bearer(key), timeout=TIMEOUT_S)

    def ask(messages: list[Any], **more: Any) -> ollama.Message:
        asked = {"model": CALLER, "messages": messages, "options": {"temperature": 0}, **more}
        if not stream:
            return client.chat(**asked).message
        parts = [part.message for part in client.chat(**asked, stream=True)]
        calls = [call for part in parts for call in part.tool_calls or []]
        content = "".join(part.content or "" for part in parts)
        return ollama.Message(role="assistant", content=content, tool_calls=calls or None)

    messages: list[Any] = [{"role": "user", "content": "Add 2 and 3."}]
    first = ask(messages, tools=[add])
    (call,) = first.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("add", {"a": 2, "b": 3})
    result = str(add(**call.function.arguments))
    messages += [first, {"role": "tool", "tool_name": "add", "content": result}]
    second = ask(messages)
    assert second.tool_calls is None
    assert "5" in (second.content or "")


def test_an_answer_follows_a_schema(make: Any) -> None:
    said = [{"role": "user", "content": "Bob is 33 years old."}]
    options = {"temperature": 0, "num_predict": 100}
    reply = make().chat(MODEL, said, format=Person.model_json_schema(), options=options)
    assert Person.model_validate_json(reply.message.content)


def test_vectors_and_models(make: Any) -> None:
    reply = make().embed(MODEL, ["a red fox", "a fox"])
    assert all(math.isclose(math.hypot(*each), 1, abs_tol=1e-4) for each in reply.embeddings)
    assert [each.model for each in make().list().models] == [f"{MODEL}:latest"]
    assert make().show(MODEL).capabilities == ["completion", "tools"]
    assert make().ps().models


def test_errors_are_the_clients_own(make: Any) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        make("sk-wrong").list()
    assert caught.value.status_code == 401
    with pytest.raises(ollama.ResponseError, match="model 'other' not found"):
        make().show("other")
    with pytest.raises(ollama.ResponseError, match="administrator"):
        make().delete(MODEL)
