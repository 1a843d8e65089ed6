"""Chat: its requests of the engine, and its answers."""

from __future__ import annotations

import pytest

from pyserve.engine.protocol import (
    Delta,
    TopLogprob,
)
from pyserve.openai.chat.chat import ChatAnswer, chat_requests
from pyserve.openai.ids import fingerprint
from tests.support.answers import INFO, as_json, chunks_of, last, output, token
from tests.support.bodies import chat


@pytest.mark.parametrize(
    ("fields", "n_logprobs"),
    [
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 3}, 3),
        ({"logprobs": False}, None),
    ],
)
def test_chat_logprobs_are_asked_of_the_engine(fields, n_logprobs):
    assert chat_requests(chat(**fields), INFO)[0].n_logprobs == n_logprobs


def test_the_prompts_logprobs_are_asked_once_and_told_by_the_answer():
    answer = ChatAnswer(chat(n=2, prompt_logprobs=0), "m", INFO)
    assert [request.n_prompt_logprobs for request in answer.requests] == [1, None]
    scored = [token(b"<s>", 0.0), token(b"a", -0.5, TopLogprob(1, b"a", -0.5))]
    outputs = [output(Delta(prompt_logprobs=scored), last(text="x")), output(last(text="y"))]
    body = as_json(answer.response(outputs))
    at = {"logprob": -0.5, "rank": 1, "decoded_token": "a"}
    assert body["prompt_logprobs"] == [None, {str(scored[1].token): at}]


def test_roles_that_templates_do_not_know_are_translated():
    call = {"name": "f", "arguments": "{}"}
    messages = [
        {"role": "developer", "content": "be brief", "name": "dev"},
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "2"}]},
        {"role": "assistant", "content": None, "reasoning_content": "was cut"},
    ]
    (request,) = chat_requests(chat(messages=messages), INFO)
    assert request.messages == [
        {"role": "system", "content": "be brief", "name": "dev"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": call}],
        },
        {"role": "tool", "content": "1", "name": "f"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "c"},
        {"role": "assistant", "content": "", "reasoning_content": "was cut"},
    ]


def test_a_chat_response_has_every_required_field():
    answer = ChatAnswer(chat(n=2), "model/x", INFO)
    body = as_json(
        answer.response(
            [
                output(Delta(text="He"), Delta(text="llo"), last(5, 2, 3)),
                output(last(5, 1, 5, text="Ho")),
            ]
        )
    )
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 1_600_000_000
    assert body.pop("system_fingerprint") == fingerprint(INFO)
    assert body == {
        "object": "chat.completion",
        "model": "model/x",
        "service_tier": "default",
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
            }
            for index, text in enumerate(["Hello", "Ho"])
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


def test_a_streamed_chat_is_role_deltas_finish():
    chunks = chunks_of(
        ChatAnswer(chat(stream=True), "m", INFO), [(0, Delta(text="Hi")), (0, last())]
    )
    assert [chunk["choices"] for chunk in chunks] == [
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        [{"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}],
        [
            {
                "index": 0,
                "delta": {},
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
            }
        ],
    ]
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)


def test_a_delta_with_text_and_end_is_two_chunks_and_one_without_text_none():
    answer = ChatAnswer(chat(stream=True), "m", INFO)
    assert answer.push(0, Delta(n_tokens=1)) == []
    said, end = as_json(answer.push(0, last(text="x")))
    assert said["choices"][0]["delta"] == {"content": "x"}
    assert end["choices"][0]["finish_reason"] == "stop"


def test_text_parts_are_apart():
    parts = [{"type": "text", "text": text} for text in ("What is", "the best")]
    (request,) = chat_requests(chat(messages=[{"role": "user", "content": parts}]), INFO)
    shown = {"role": "user", "content": "What is\nthe best", "parts": ["What is", "the best"]}
    assert request.messages == [shown]
