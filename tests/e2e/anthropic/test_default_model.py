"""The default model through the official client of Anthropic, and as Claude Code asks it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest

from tests.e2e.conftest import DEFAULT_MODEL
from tests.support import claude_code

pytestmark = pytest.mark.model

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
CLOCK = {"type": "object", "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 23}}}
SCHEMAS = {"weather": CITY, "clock": CLOCK}
TOOLS: list[Any] = [
    {"name": name, "description": f"The {name}", "input_schema": schema}
    for name, schema in SCHEMAS.items()
]
GREEDY = {"temperature": 0}
TURNS: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]


def ask(claude: anthropic.Anthropic, **fields: Any) -> anthropic.types.Message:
    fields = {"messages": TURNS, "max_tokens": 160, "extra_body": GREEDY, **fields}
    return claude.messages.create(model=DEFAULT_MODEL, **fields)


def final(claude: anthropic.Anthropic, **fields: Any) -> anthropic.types.Message:
    """The same, streamed."""
    fields = {"messages": TURNS, "max_tokens": 160, "extra_body": GREEDY, **fields}
    with claude.messages.stream(model=DEFAULT_MODEL, **fields) as stream:
        return stream.get_final_message()


def test_a_stream_adds_up_to_the_plain_answer(claude: anthropic.Anthropic) -> None:
    plain, streamed = ask(claude, max_tokens=24), final(claude, max_tokens=24)
    assert plain.content[0].type == "text"
    assert [block.to_dict() for block in streamed.content] == [
        block.to_dict() for block in plain.content
    ]
    assert (plain.stop_reason, streamed.stop_reason) == ("max_tokens", "max_tokens")
    assert plain.usage.output_tokens == streamed.usage.output_tokens == 24


def test_counted_tokens_are_those_of_the_prompt(claude: anthropic.Anthropic) -> None:
    for fields in ({}, {"system": "Be kind."}, {"tools": TOOLS}):
        counted = claude.messages.count_tokens(model="x", messages=TURNS, **fields)
        usage = ask(claude, max_tokens=1, **fields).usage
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted.input_tokens


def test_claude_code_is_answered_from_the_cache(http: httpx.Client) -> None:
    question = claude_code.user("What is in this project?")
    used = [
        told(http, claude_code.request_body([question], cch="a5145"), max_tokens=24),
        told(http, claude_code.request_body([question], cch="0c3de", version="c2d"), max_tokens=0),
    ]
    counted = http.post(
        "/v1/messages/count_tokens?beta=true",
        json=claude_code.counted(claude_code.request_body([question])),
        headers=claude_code.HEADERS,
    ).json()["input_tokens"]
    for usage in used:
        assert usage["input_tokens"] + usage["cache_read_input_tokens"] == counted
    assert used[1]["cache_read_input_tokens"] >= counted - 1


def told(http: httpx.Client, body: dict[str, Any], *, max_tokens: int) -> dict[str, int]:
    """The usage at the end of a stream, whose events are in order."""
    body = {**body, "max_tokens": max_tokens, "stop_sequences": ["."]}
    response = http.post("/v1/messages?beta=true", json=body, headers=claude_code.HEADERS)
    assert response.status_code == 200, response.text
    assert response.headers["X-Ignored-Fields"] == "context_management"
    lines = [line for line in response.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    usage: dict[str, int] = events[-2]["usage"]
    return usage
