"""Conversations of two turns with the templates of model families, through the official client.

The models are random: a call is forced by the grammar of the family's format, and so is the text of
the second turn. Their vocabularies have the control tokens of the family.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest

from pyserve.engine.markers import shown_marks
from tests.e2e.conftest import TIMEOUT_S
from tests.support.server import served
from tests.support.tiny.llama import write_tiny_llama
from tests.support.vendor_templates import controls_of, vendor_templates

FAMILIES = {
    "gpt-oss": "openai-gpt-oss-120b",
    "gemma4": "google-gemma-4-31B-it",
    "lfm2.5": "LFM2.5-8B-A1B",
    "kimi-k2": "Kimi-K2-Thinking",
    "minimax-m2": "MiniMax-M2",
    "qwen3.5": "Qwen3.5-4B",
    "glm": "GLM-4.6",
    "granite4": "ibm-granite-granite-4.0",
}
TEMPLATES = vendor_templates()
pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the vendored archive is not here")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "days": {"enum": [1, 2]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "description": "d", "parameters": SCHEMA, "strict": True},
    }
    for name in ("weather", "forecast")
]
FINAL = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "final", "schema": FINAL}}
QUESTION: dict[str, Any] = {"role": "user", "content": "What is the weather?"}


def marks_of(source: str) -> list[str]:
    """All that looks like a mark in a template, also words in tags."""
    return list(dict.fromkeys([*controls_of(source), *shown_marks(source)]))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("families")
    for model, name in FAMILIES.items():
        source = TEMPLATES[name]
        write_tiny_llama(
            folder / f"{model}.gguf",
            chat_template=source,
            n_ctx=4096,
            controls=marks_of(source),
        )
    with served("--models-dir", str(folder), "--parallel", "2") as server:
        url = f"{server.url}/v1"
        with openai.OpenAI(
            base_url=url, api_key="none", max_retries=0, timeout=TIMEOUT_S
        ) as client:
            yield client


def ask(client: openai.OpenAI, model: str, messages: list[Any], **fields: Any) -> Any:
    fields = {"max_tokens": 400, "temperature": 1, "seed": 5, **fields}
    extra = {"thinking_budget_tokens": 4}
    (choice,) = client.chat.completions.create(
        model=model, messages=messages, extra_body=extra, **fields
    ).choices
    return choice


def facts(choice: Any) -> Any:
    message = choice.message
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or []]
    thoughts = getattr(message, "reasoning_content", None)
    return (message.content or "", thoughts or "", calls, choice.finish_reason)


def streamed(client: openai.OpenAI, model: str, messages: list[Any], **fields: Any) -> Any:
    """The `facts` of the same answer as a stream."""
    fields = {"max_tokens": 400, "temperature": 1, "seed": 5, **fields}
    extra = {"thinking_budget_tokens": 4}
    text, thoughts, calls, reason = "", "", [], None
    for chunk in client.chat.completions.create(
        model=model, messages=messages, extra_body=extra, stream=True, **fields
    ):
        (choice,) = chunk.choices
        text += choice.delta.content or ""
        thoughts += getattr(choice.delta, "reasoning_content", None) or ""
        for call in choice.delta.tool_calls or []:
            if call.function.name:
                calls.append((call.function.name, ""))
            calls[-1] = (calls[-1][0], calls[-1][1] + (call.function.arguments or ""))
        reason = choice.finish_reason or reason
    return (text, thoughts, calls, reason)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_call_its_result_and_the_answer(client: openai.OpenAI, model: str) -> None:
    tools = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
    first = ask(client, model, [QUESTION], **tools)
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    (call,) = first.message.tool_calls
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    assert facts(first) == streamed(client, model, [QUESTION], **tools)

    named = {"type": "function", "function": {"name": "forecast"}}
    (other,) = ask(client, model, [QUESTION], **{**tools, "tool_choice": named}).message.tool_calls
    assert other.function.name == "forecast"

    said = first.message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "It rains."}
    history = [QUESTION, said, result]
    second = ask(client, model, history, response_format=FORMAT, tools=TOOLS, tool_choice="none")
    assert json.loads(second.message.content) == {"ok": True}
    assert second.finish_reason == "stop"
    told = {"response_format": FORMAT, "tools": TOOLS, "tool_choice": "none"}
    assert facts(second) == streamed(client, model, history, **told)


@pytest.mark.parametrize("model", FAMILIES)
def test_free_answers_hold_no_marks(client: openai.OpenAI, model: str) -> None:
    marks = marks_of(TEMPLATES[FAMILIES[model]])
    for seed in range(2):
        for fields in ({"tools": TOOLS}, {"reasoning_effort": "none"}):
            options = {"seed": seed, "temperature": 2, "max_tokens": 60, **fields}
            choice = ask(client, model, [QUESTION], **options)
            text = choice.message.content or ""
            assert [mark for mark in marks if mark in text] == []
            assert facts(choice) == streamed(client, model, [QUESTION], **options)


@pytest.mark.parametrize("model", FAMILIES)
def test_an_answer_is_continued(client: openai.OpenAI, model: str) -> None:
    begun = {"role": "assistant", "content": '{"ok'}
    extra = {"continue_final_message": True, "add_generation_prompt": False}
    (choice,) = client.chat.completions.create(
        model=model,
        messages=[QUESTION, begun],
        extra_body={**extra, "grammar": 'root ::= "\\": true}"'},
        max_tokens=40,
    ).choices
    assert choice.message.content == '": true}'


@pytest.mark.parametrize("model", FAMILIES)
def test_the_format_is_told(client: openai.OpenAI, model: str) -> None:
    ask(client, model, [QUESTION], max_tokens=1)
    meta = client.models.retrieve(model).model_extra["meta"]
    assert meta["answer_format"]["origin"] in ("derived", "known")
