"""LangChain over all three APIs: invoke, stream, async, tools, structured output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.clients.conftest import FIRST, MODEL, SECOND, TIMEOUT_S
from tests.support.server import ServerProcess

Make = Callable[..., BaseChatModel]
FAMILIES = ["openai", "responses", "anthropic", "ollama"]


class Person(pydantic.BaseModel):
    """A person."""

    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


@pytest.fixture
def make(server: ServerProcess) -> Make:
    """Makes chat models by family and key."""

    def chat_model(family: str, key: str = FIRST, max_tokens: int = 60) -> BaseChatModel:
        asked: Any = {"model": MODEL, "temperature": 0}
        if family == "ollama":
            headers = {"Authorization": f"Bearer {key}"}
            return ChatOllama(
                base_url=server.url,
                client_kwargs={"headers": headers, "timeout": TIMEOUT_S},
                num_predict=max_tokens,
                **asked,
            )
        asked |= {"api_key": key, "max_tokens": max_tokens, "max_retries": 0, "timeout": TIMEOUT_S}
        if family == "anthropic":
            return ChatAnthropic(base_url=server.url, **asked)
        is_responses = family == "responses"
        return ChatOpenAI(base_url=f"{server.url}/v1", use_responses_api=is_responses, **asked)

    return chat_model


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_streamed_and_async_answers_are_one(
    make: Make, family: str, runner: asyncio.Runner
) -> None:
    model = make(family, max_tokens=16)
    plain = model.invoke("Say hello.")
    assert plain.text
    assert plain.usage_metadata["output_tokens"] <= 16
    assert "".join(chunk.text for chunk in model.stream("Say hello.")) == plain.text
    assert runner.run(make(family, max_tokens=16).ainvoke("Say hello.")).text == plain.text


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("family", ["openai", "responses", "anthropic"])
def test_two_turns_with_a_tool(make: Make, family: str, is_streamed: bool) -> None:
    model = make(family, SECOND)
    turns: list[Any] = [HumanMessage("What is the weather in Rome?")]
    first = asked(model.bind_tools([weather], tool_choice="weather"), turns, is_streamed)
    (call,) = first.tool_calls
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    none: Any = {"type": "none"} if family == "anthropic" else "none"  # a name is a tool's there
    second = asked(model.bind_tools([weather], tool_choice=none), [*turns, first, result], False)
    assert second.text


def asked(model: Any, turns: list[Any], is_streamed: bool) -> AIMessage:
    if not is_streamed:
        answer: AIMessage = model.invoke(turns)
        return answer
    first, *rest = model.stream(turns)
    for chunk in rest:
        first += chunk
    whole: AIMessage = first
    return whole


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("openai", "json_schema"),
        ("openai", "function_calling"),
        ("responses", "json_schema"),
        ("anthropic", "function_calling"),
        ("anthropic", "json_schema"),
        ("ollama", "json_schema"),
    ],
)
def test_answers_become_objects(make: Make, family: str, method: str) -> None:
    model = make(family, max_tokens=100).with_structured_output(Person, method=method)
    assert isinstance(model.invoke("Anna is 31 years old."), Person)


def test_vectors(server: ServerProcess) -> None:
    texts = ["a fox", "a dog"]
    plain = OpenAIEmbeddings(
        base_url=f"{server.url}/v1", api_key=FIRST, model=MODEL, check_embedding_ctx_length=False
    )
    headers = {"Authorization": f"Bearer {FIRST}"}
    other = OllamaEmbeddings(base_url=server.url, model=MODEL, client_kwargs={"headers": headers})
    for one, two in zip(plain.embed_documents(texts), other.embed_documents(texts), strict=True):
        assert one == pytest.approx(two, abs=1e-3)
