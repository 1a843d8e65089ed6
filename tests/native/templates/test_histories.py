"""Earlier turns as clients send them, rendered by every template of the vendored archive.

Nothing is refused, nothing that was said is lost, and what means the same is the same prompt.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.openai.chat.chat import chat_conversation
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.validate import validate
from tests.support.tiny.llama import write_tiny_llama
from tests.support.vendor_templates import vendor_templates

TEMPLATES = vendor_templates()
pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the vendored archive is not here")

TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
}
ASKED, AGAIN = ({"role": "user", "content": text} for text in ("Asked", "Again"))
WRITTEN = '{"a": "Value", "n": 3}'
LEFT_OUT: Any = object()
Messages = list[dict[str, Any]]


def call(arguments: Any = WRITTEN, call_id: str | None = "call_1") -> dict[str, Any]:
    function = {"name": "f"} | ({} if arguments is LEFT_OUT else {"arguments": arguments})
    return {"type": "function", "function": function} | ({"id": call_id} if call_id else {})


def called(*calls: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", **fields, "tool_calls": list(calls)}


def answer(content: Any = "Answer", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def result(content: Any = "Result", call_id: str | None = "call_1") -> dict[str, Any]:
    return {"role": "tool", "content": content} | ({"tool_call_id": call_id} if call_id else {})


def parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def asked(*turns: dict[str, Any]) -> Messages:
    return [ASKED, *turns, AGAIN]


BARE = {key: value for key, value in called(call()).items() if key != "content"}
TWO = called(call(), call('{"a": "Other"}', "call_2"))
LEGACY = {
    "role": "assistant",
    "content": None,
    "function_call": {"name": "f", "arguments": WRITTEN},
}
# What is said in them, and histories that mean the same.
GROUPS: dict[str, tuple[list[str], list[Messages]]] = {
    "a call": (
        ["Asked", "Value", "Result", "Again"],
        [
            asked(called(call()), result()),
            asked(called(call(), content=None), result()),
            asked(called(call(), content=[]), result()),
            asked(BARE, result()),
            asked(called(call({"a": "Value", "n": 3})), result()),
            asked(called(call('{"a":"Value",\n "n":3}')), result()),
            asked(called(call()), result(parts("Result"))),
            asked(called(call(call_id=None)), result()),
            asked(called(call()), result(call_id=None)),
        ],
    ),
    "no arguments": (
        ["Result", "Again"],
        [
            asked(called(call(arguments)), result())
            for arguments in ("{}", "", " ", {}, None, "null", LEFT_OUT)
        ],
    ),
    "arguments that are cut off": (
        ["Cut", "Result"],
        [asked(called(call('{"a": "Cut')), result())],
    ),
    "no ids": (["Value", "Result"], [asked(called(call(call_id=None)), result(call_id=None))]),
    "results in any order": (
        ["Value", "Other", "First", "Second", "Again"],
        [
            asked(TWO, result("First"), result("Second", "call_2")),
            asked(TWO, result("Second", "call_2"), result("First")),
        ],
    ),
    "one id for two calls": (
        ["Value", "Other", "First", "Second"],
        [asked(called(call(), call('{"a": "Other"}')), result("First"), result("Second"))],
    ),
    "a result that is missing": (["Value", "Other", "First"], [asked(TWO, result("First"))]),
    "an empty result": (["Value"], [asked(called(call()), result(text)) for text in ("", [])]),
    "a result without a call": (["Asked", "Result", "Again"], [asked(result())]),
    "a result alone": (["Result", "Again"], [[result(), AGAIN]]),
    "results that are answered": (
        ["Value", "Result", "Answer", "Again"],
        [asked(called(call()), result(), answer())],
    ),
    "text and a call": (
        ["Value", "Result", "Again"],
        [asked(called(call(), content="T"), result())],
    ),
    "thoughts": (
        ["Answer"],
        [
            asked(answer(reasoning_content="Thought")),
            asked(answer(reasoning="Thought")),
            asked(answer(parts("Answer"), reasoning_content="Thought")),
        ],
    ),
    "thoughts and a call": (
        ["Value", "Result"],
        [[ASKED, called(call(), reasoning_content="Thought"), result()]],
    ),
    "empty answers": (["Asked", "Again"], [asked(answer(text)) for text in ("", None, [])]),
    "an answer first": (["Answer", "Asked"], [[answer(), ASKED]]),
    "questions alone": (["Asked", "Again"], [asked()]),
    "systems": (
        ["Rules", "Asked"],
        [
            [{"role": "system", "content": "Rules"}, ASKED],
            [{"role": "developer", "content": "Rules"}, ASKED],
            [{"role": "system", "content": parts("Rules")}, ASKED],
        ],
    ),
    "systems everywhere": (
        ["Rules", "More", "Late", "Answer", "Again"],
        [
            [
                {"role": "system", "content": "Rules"},
                {"role": "developer", "content": "More"},
                *asked(answer(), {"role": "system", "content": "Late"}),
            ]
        ],
    ),
    "the older fields": (
        ["Value", "Result"],
        [asked(LEGACY, {"role": "function", "name": "f", "content": "Result"})],
    ),
}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_what_means_the_same_is_the_same_prompt(name: str, tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", chat_template=TEMPLATES[name], n_ctx=8192)
    config = EngineConfig(model_id=name, model_path=str(path), n_ctx=8192)
    with closing(LocalEngine(config)) as engine:
        for group, (texts, histories) in GROUPS.items():
            prompts = set()
            for messages in histories:
                body = validate(ChatRequest, {"messages": messages, "tools": [TOOL]})
                made = chat_conversation(engine, body)
                prompts.add(engine.render(made.messages, made.options))
            assert len(prompts) == 1, group
            (prompt,) = prompts
            assert [text for text in texts if text not in prompt] == [], group
