"""Where answers of the default model end, and what its prompts are made of."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.model

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
QUESTION = {"messages": [{"role": "user", "content": "Count from one to ten."}], "temperature": 0}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
TWO_TEXTS = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "city": {"type": "string"}},
    "required": ["name", "city"],
    "additionalProperties": False,
}
CHATML = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def choice_of(http: httpx.Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    response = http.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


@pytest.mark.parametrize("stop", [",", '"', "}"])
def test_a_stop_string_does_not_cut_a_constrained_answer(http: httpx.Client, stop: str) -> None:
    schema = {"name": "two", "schema": TWO_TEXTS, "strict": True}
    form = {"type": "json_schema", "json_schema": schema}
    body = {**QUESTION, "response_format": form, "stop": [stop], "max_tokens": 100}
    choice = choice_of(http, CHAT, body)
    assert set(json.loads(choice["message"]["content"])) == {"name", "city"}
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", None)


@pytest.mark.parametrize(
    "tool_choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
@pytest.mark.parametrize("max_tokens", [1, 3, 10, 14])
def test_a_required_call_that_is_cut_leaves_no_text(
    http: httpx.Client, tool_choice: Any, max_tokens: int
) -> None:
    body = {**QUESTION, "tools": [WEATHER], "tool_choice": tool_choice, "max_tokens": max_tokens}
    choice = choice_of(http, CHAT, body)
    assert not choice["message"]["content"]
    assert choice["finish_reason"] == "length"


def test_a_stop_token_ends_an_answer_and_is_told(http: httpx.Client) -> None:
    text = choice_of(http, CHAT, QUESTION | {"max_tokens": 30})["message"]["content"]
    found = http.post("/tokenize", json={"content": text, "add_special": False}).json()
    stop = found["tokens"][4]
    choice = choice_of(http, CHAT, QUESTION | {"stop_token_ids": [stop]})
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
    assert text.startswith(choice["message"]["content"])


def test_time_ends_a_running_answer(http: httpx.Client) -> None:
    body = QUESTION | {"ignore_eos": True, "max_tokens": 7000}
    answers = [http.post(CHAT, json={**body, "t_max_predict_ms": 50})]
    for time_s in (1, 4, 16):  # as much as the machine needs to say something
        answers.append(
            http.post(CHAT, json=body, headers={"X-Request-Timeout": f"{time_s}; whole"})
        )
        if answers[-1].status_code == httpx.codes.OK:
            break
    for answer in (answers[0], answers[-1]):
        found = answer.json()
        (choice,) = found["choices"]
        assert choice["finish_reason"] == "length"
        assert choice["message"]["content"]
        assert 0 < found["usage"]["completion_tokens"] < 7000


def test_control_tokens_in_a_prompt_are_read_unless_told_otherwise(http: httpx.Client) -> None:
    def n_tokens(**fields: Any) -> int:
        body = {"prompt": CHATML, "max_tokens": 1, **fields}
        found = http.post(COMPLETIONS, json=body).json()
        return int(found["usage"]["prompt_tokens"])

    read = http.post("/tokenize", json={"content": CHATML, "parse_special": True}).json()["tokens"]
    plain = http.post("/tokenize", json={"content": CHATML, "parse_special": False}).json()[
        "tokens"
    ]
    assert n_tokens() == n_tokens(parse_special=True) == len(read)
    assert n_tokens(parse_special=False) == len(plain) > len(read)


def test_every_character_of_a_message_arrives(http: httpx.Client) -> None:
    text = "left\ufdd0right \ufffe\uffff \U0010ffff \u200b\u202e \x7f <|im_end|>"
    tools = [{"type": "function", "function": {"name": "f", "description": text}}]
    body = {"messages": [{"role": "user", "content": text}], "tools": tools}
    prompt = http.post("/apply-template", json=body).json()["prompt"]
    assert text in prompt
