from __future__ import annotations

import pytest

from pyserve.anthropic.messages import MessagesAnswer
from pyserve.engine.protocol import Delta
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.tools.formats import GENERIC
from pyserve.openai.tools.parts import AnswerStyle
from pyserve.schemas.anthropic.messages import MessagesRequest
from tests.support.answers import INFO, as_json, last, output

PLAIN = AnswerStyle()
TURNS = [{"role": "user", "content": "hi"}]


def answer_of(style: AnswerStyle = PLAIN, **fields) -> MessagesAnswer:
    body = MessagesRequest.model_validate({"messages": TURNS, "max_tokens": 9, **fields})
    return MessagesAnswer(body, "m", INFO, Conversation([], style=style), ["END"])


def test_the_three_counts_of_the_input_add_up():
    usage = as_json(answer_of().response([output(last(n_prompt=7, n_cached=3))]))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (4, 3)
    assert usage["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize("style", [PLAIN, AnswerStyle(calls=GENERIC)])
def test_an_answer_of_nothing_has_an_empty_text(style):
    answer = answer_of(style)
    assert as_json(answer.response([output(last())]))["content"] == [{"type": "text", "text": ""}]
    events = as_json([*answer.open(), *answer.push(0, last()), *answer.close()])
    kinds = [event["type"] for event in events if event["type"].startswith("content")]
    assert kinds == ["content_block_start", "content_block_stop"]


def test_a_call_that_was_cut_off_has_no_input():
    style = AnswerStyle(calls=GENERIC)
    text = '<tool_call>\n{"name": "f", "arguments": {"a": "b'
    body = as_json(answer_of(style).response([output(Delta(text=text), last(reason="length"))]))
    (call,) = body["content"]
    assert (call["name"], call["input"]) == ("f", {})


@pytest.mark.parametrize("fields", [{"logit_bias": {"1": 1}}, {"min_p": 0.5}, {"priority": 3}])
def test_other_fields_of_ours_work(fields):
    (request,) = answer_of(**fields).requests
    shown = as_json(request)
    values = {**shown, **shown["sampling"]}
    for name, value in fields.items():
        assert values[name] == value
