"""Edits: their prompts and their answers."""

from __future__ import annotations

import msgspec

from pyserve.openai.edits import EditAnswer, edit_requests
from tests.support.answers import INFO, as_json, last, output
from tests.support.bodies import edit

PLAIN_INFO = msgspec.structs.replace(INFO, has_chat_template=False)


def test_an_edit_is_a_conversation_when_the_model_has_a_template():
    (request,) = edit_requests(edit(input="Black cat {x}"), INFO)
    assert request.messages is not None
    roles = [message["role"] for message in request.messages]
    assert roles == ["system", *["user", "assistant"] * (len(roles) // 2 - 1), "user"]
    assert request.messages[-1]["content"] == "fix:\n\nBlack cat {x}"
    assert request.prompt is None
    assert request.stop == []


def test_an_edit_is_an_instruction_prompt_when_it_has_none():
    (request,) = edit_requests(edit(input="{instruction}", stop="X"), PLAIN_INFO)
    assert request.messages is None
    assert request.prompt is not None
    assert request.prompt.endswith(
        "\n\n### Instruction:\nfix\n\n### Input:\n{instruction}\n\n### Response:\n"
    )
    assert request.stop == ["X", "\n###"]


def test_an_edit_of_nothing_is_the_instruction():
    (request,) = edit_requests(edit(), INFO)
    assert request.messages is not None
    assert request.messages[-1]["content"] == "fix"


def test_an_edit_has_room_for_an_answer_as_long_as_its_input():
    short, long = edit_requests(edit(input=["", "x" * 10_000]), INFO)
    assert short.max_tokens is not None
    assert long.max_tokens == short.max_tokens + 10_000
    assert edit_requests(edit(max_tokens=3), INFO)[0].max_tokens == 3


def test_an_edit_response_counts_inputs_and_choices_and_is_stripped():
    answer = EditAnswer(edit(input=["a", "b"], n=2), "m", INFO)
    body = as_json(answer.response([output(last(text=f"\n  t{i} \n")) for i in range(4)]))
    assert body["object"] == "edit"
    assert body["choices"] == [
        {
            "text": f"t{i}",
            "index": i,
            "finish_reason": "stop",
            "logprobs": None,
            "stop_reason": None,
        }
        for i in range(4)
    ]
    assert body["usage"]["prompt_tokens"] == 10
