"""A random model whose template knows tools and begins to think, through the real server."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.server import ServerProcess
from tests.support.tiny.llama import write_tiny_llama

TEMPLATE = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools><tool_call>{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>"
    "{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}{% endif %}"
)
SCHEMA = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
TOOL = {"type": "function", "function": {"name": "light", "parameters": SCHEMA}}


@pytest.fixture
def server(make_server: MakeServer, tmp_path: Path) -> ServerProcess:
    model = write_tiny_llama(tmp_path / "tiny.gguf", chat_template=TEMPLATE, n_ctx=1024)
    return make_server([str(model)]).start()


def ask(http: httpx.Client, **fields: object) -> dict:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 60, "seed": 3, **fields}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_thoughts_are_limited_and_apart(http: httpx.Client) -> None:
    answer = ask(http, thinking_budget_tokens=5, ignore_eos=True)
    (choice,) = answer["choices"]
    n_thoughts = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 5 <= n_thoughts < 30
    assert "</think>" not in choice["message"]["content"]
    assert choice["message"]["content"]
    prompt = http.post("/apply-template", json={"messages": [{"role": "user", "content": "x"}]})
    assert prompt.json()["prompt"].endswith("<think>")
    silent = ask(http, reasoning_effort="none", ignore_eos=True)
    assert silent["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert "reasoning_content" not in silent["choices"][0]["message"]


def test_a_call_is_forced_after_the_thoughts(http: httpx.Client) -> None:
    tools = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    answer = ask(http, **tools, thinking_budget_tokens=3, max_tokens=300)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "light"
    assert json.loads(call["function"]["arguments"]).keys() == {"on"}
