"""The default model through the official client of Anthropic, and as Claude Code asks it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import jsonschema
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


def test_a_stop_text_ends_the_answer_and_is_named(claude: anthropic.Anthropic) -> None:
    turns: list[Any] = [
        {"role": "user", "content": "Count to ten."},
        {"role": "assistant", "content": "1, 2, 3, 4,"},
    ]
    message = ask(claude, messages=turns, stop_sequences=["never", "7"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "7")
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith(" 5")


@pytest.mark.parametrize("ask_it", [ask, final], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "tool", "name": "clock"}, ["clock"]),
        ({"type": "any", "disable_parallel_tool_use": True}, ["clock", "weather"]),
    ],
)
def test_a_call_that_must_come_follows_its_schema(
    claude: anthropic.Anthropic, ask_it: Any, choice: Any, names: list[str]
) -> None:
    message = ask_it(claude, tools=TOOLS, tool_choice=choice)
    (call,) = message.content
    assert (call.type, message.stop_reason) == ("tool_use", "tool_use")
    assert call.name in names
    jsonschema.validate(call.input, SCHEMAS[call.name])


def test_without_a_choice_of_tools_there_are_none(claude: anthropic.Anthropic) -> None:
    message = ask(claude, tools=TOOLS, tool_choice={"type": "none"}, max_tokens=16)
    assert [block.type for block in message.content] == ["text"]


def test_an_answer_is_json_by_a_schema(claude: anthropic.Anthropic) -> None:
    config: Any = {"format": {"type": "json_schema", "schema": CITY}}
    message = ask(claude, output_config=config)
    assert message.content[0].type == "text"
    jsonschema.validate(json.loads(message.content[0].text), CITY)


def test_counted_tokens_are_those_of_the_prompt(claude: anthropic.Anthropic) -> None:
    for fields in ({}, {"system": "Be kind."}, {"tools": TOOLS}):
        counted = claude.messages.count_tokens(model="x", messages=TURNS, **fields)
        usage = ask(claude, max_tokens=1, **fields).usage
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted.input_tokens


def test_a_prompt_that_is_too_long_is_asked_for_once(claude: anthropic.Anthropic) -> None:
    n_before = n_refused(claude)
    turns: list[Any] = [{"role": "user", "content": "word " * 9000}]
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > \d+"):
        ask(claude.with_options(max_retries=2), messages=turns)
    assert n_refused(claude) == n_before + 1


def n_refused(claude: anthropic.Anthropic) -> float:
    """Requests that were answered with 400."""
    text = httpx.get(f"{str(claude.base_url).rstrip('/')}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if 'status="400"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_models_are_listed(claude: anthropic.Anthropic) -> None:
    (model,) = claude.models.list()
    assert (model.id, model.max_input_tokens) == (DEFAULT_MODEL, 8192)
    assert claude.models.retrieve(DEFAULT_MODEL) == model


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
