"""LlamaIndex, as a server like OpenAI's: complete, chat, stream, async, tools, objects."""

from __future__ import annotations

import asyncio

import pydantic
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from tests.clients.conftest import FIRST, MODEL, TIMEOUT_S

SAID = [ChatMessage(role="user", content="Say hello.")]


class Person(pydantic.BaseModel):
    """A person."""

    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


@pytest.fixture
def llm(base_url: str) -> OpenAILike:
    return OpenAILike(
        model=MODEL,
        api_base=base_url,
        api_key=FIRST,
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=8192,
        max_tokens=60,
        temperature=0,
        max_retries=0,
        timeout=TIMEOUT_S,
    )


def test_plain_streamed_and_async_answers_are_one(llm: OpenAILike, runner: asyncio.Runner) -> None:
    plain = llm.chat(SAID).message.content
    assert plain
    *_, last = llm.stream_chat(SAID)
    assert last.message.content == plain
    assert runner.run(llm.achat(SAID)).message.content == plain
    assert llm.complete("Say hello.").text == plain


def test_a_text_is_completed(llm: OpenAILike) -> None:
    llm.is_chat_model = False
    plain = llm.complete("One, two,").text
    *_, last = llm.stream_complete("One, two,")
    assert plain
    assert last.text == plain


def test_two_turns_with_a_tool(llm: OpenAILike) -> None:
    tool = FunctionTool.from_defaults(weather)
    asked = "What is the weather in Rome?"
    first = llm.chat_with_tools([tool], user_msg=asked, tool_required=True)
    (call,) = llm.get_tool_calls_from_response(first)
    said = tool.call(**call.tool_kwargs).content
    turns = [
        ChatMessage(role="user", content=asked),
        first.message,
        ChatMessage(role="tool", content=said, additional_kwargs={"tool_call_id": call.tool_id}),
    ]
    assert llm.chat(turns).message.content


def test_answers_become_objects(llm: OpenAILike) -> None:
    answer = llm.as_structured_llm(Person).complete("Anna is 31 years old.")
    assert isinstance(answer.raw, Person)
