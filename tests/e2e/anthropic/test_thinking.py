"""A random model whose template begins to think, through the official client of Anthropic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.e2e.conftest import MakeServer
from tests.e2e.openai.test_thinking import TEMPLATE
from tests.support.server import ServerProcess
from tests.support.tiny.llama import write_tiny_llama

LIGHT: Any = {
    "name": "light",
    "input_schema": {
        "type": "object",
        "properties": {"on": {"type": "boolean"}},
        "required": ["on"],
    },
}
HI: list[Any] = [{"role": "user", "content": "hi"}]
SHORT = {"thinking_budget_tokens": 5, "ignore_eos": True, "seed": 3}


@pytest.fixture
def server(make_server: MakeServer, tmp_path: Path) -> ServerProcess:
    model = write_tiny_llama(tmp_path / "tiny.gguf", chat_template=TEMPLATE, n_ctx=2048)
    return make_server([str(model)]).start()


def ask(claude: anthropic.Anthropic, **fields: Any) -> anthropic.types.Message:
    fields = {"messages": HI, "max_tokens": 60, "extra_body": SHORT, **fields}
    return claude.messages.create(model="tiny", **fields)


def test_thoughts_are_a_block_before_the_text(claude: anthropic.Anthropic) -> None:
    plain = ask(claude, thinking={"type": "adaptive"})
    with claude.messages.stream(
        model="tiny",
        messages=HI,
        max_tokens=60,
        thinking={"type": "adaptive"},
        extra_body=SHORT,
    ) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        thoughts, text = message.content
        assert thoughts.type == "thinking"
        assert thoughts.signature
        assert text.type == "text"
        assert "</think>" not in text.text
        details = message.usage.output_tokens_details
        assert details is not None
        assert 5 <= details.thinking_tokens < 30
    assert kinds.index("signature") > kinds.index("thinking")
    assert kinds.count("content_block_stop") == 2


def test_thoughts_are_limited_or_none(claude: anthropic.Anthropic) -> None:
    long = ask(
        claude,
        thinking={"type": "enabled", "budget_tokens": 1024},
        max_tokens=1100,
        extra_body={"ignore_eos": True, "seed": 3},
    )
    assert [block.type for block in long.content] == ["thinking", "text"]
    assert long.usage.output_tokens_details is not None
    assert 1024 <= long.usage.output_tokens_details.thinking_tokens < 1060
    silent = ask(claude, thinking={"type": "disabled"})
    assert [block.type for block in silent.content] == ["text"]


def test_an_answer_that_fills_the_context_says_so(claude: anthropic.Anthropic) -> None:
    endless = {"ignore_eos": True, "seed": 3}
    full = ask(claude, max_tokens=4096, extra_body=endless)
    assert full.stop_reason == "model_context_window_exceeded"
    assert full.usage.output_tokens + full.usage.input_tokens <= 2048
    short = ask(claude, max_tokens=4096, extra_body={**endless, "t_max_predict_ms": 1})
    assert short.stop_reason == "max_tokens"


def test_a_call_is_forced_after_thoughts_that_are_not_shown(claude: anthropic.Anthropic) -> None:
    forced: Any = {"type": "any", "disable_parallel_tool_use": True}
    omitted: Any = {"type": "adaptive", "display": "omitted"}
    first = ask(
        claude,
        tools=[LIGHT],
        tool_choice=forced,
        thinking=omitted,
        max_tokens=300,
        extra_body={"thinking_budget_tokens": 3, "seed": 3},
    )
    thoughts, call = first.content
    assert (thoughts.type, call.type, first.stop_reason) == ("thinking", "tool_use", "tool_use")
    assert thoughts.thinking == ""
    assert call.input.keys() == {"on"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "done"}
    turns = [*HI, first.to_param(), {"role": "user", "content": [result]}]
    second = ask(claude, messages=turns, tools=[LIGHT], thinking=omitted)
    assert second.usage.output_tokens == 60
