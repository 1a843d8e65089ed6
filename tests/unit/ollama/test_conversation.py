"""Conversations of Ollama's clients as those of chat completions."""

from __future__ import annotations

from pyserve.ollama.conversation import messages_of
from pyserve.schemas.ollama import OllamaMessage

TIME = {"function": {"name": "time", "arguments": {}}}
WEATHER = {"function": {"name": "weather", "arguments": {"city": "Ås"}}}


def messages(*turns):
    return messages_of([OllamaMessage.model_validate(turn) for turn in turns])


def result(**fields):
    return {"role": "tool", "content": "x", **fields}


def test_calls_get_ids_and_their_arguments_are_json():
    (turn,) = messages({"role": "assistant", "thinking": "hm", "tool_calls": [TIME, WEATHER]})
    assert turn["content"] == ""
    assert turn["reasoning_content"] == "hm"
    assert [(call["id"], call["function"]["arguments"]) for call in turn["tool_calls"]] == [
        ("call_1", "{}"),
        ("call_2", '{"city": "Ås"}'),
    ]


def test_results_find_their_calls():
    given = {**TIME, "id": "own"}
    _, *results = messages(
        {"role": "assistant", "tool_calls": [given, WEATHER, TIME, WEATHER]},
        result(tool_name="weather"),
        result(tool_call_id="call_3"),
        result(),
        result(tool_name="made_up"),
        result(),
    )
    assert [(one.get("tool_call_id"), one.get("name")) for one in results] == [
        ("call_2", "weather"),
        ("call_3", "time"),
        ("own", "time"),
        ("call_4", "made_up"),
        (None, None),
    ]


def test_thoughts_of_others_than_the_assistant_are_none():
    (turn,) = messages({"role": "user", "content": "hi", "thinking": "hm"})
    assert turn == {"role": "user", "content": "hi"}
