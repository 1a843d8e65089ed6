"""POST /api/generate: prompts, with the model's template, another one, or none."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import Segment
from tests.support.ollama_lines import GENERATE, lines_of, prompt, said

TEMPLATE = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>"
)


def request_of(front, **fields):
    """The engine request of a prompt with these fields."""
    response = front.post(GENERATE, prompt(stream=False, **fields))
    assert response.status_code == 200, response.text
    return front.core.requests[-1]


def test_a_prompt_is_answered_in_both_ways(front):
    *parts, last = lines_of(front.post(GENERATE, prompt("Hello big world")))
    assert said(parts) == "Hello big world"
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "stop")
    reply = front.post(GENERATE, prompt("Hello big world", stream=False)).get_json()
    assert (reply["response"], reply["eval_count"]) == ("Hello big world", 3)
    assert "message" not in reply


def test_a_prompt_is_a_chat_with_its_system_text(front):
    plain, framed = request_of(front), request_of(front, system="be short")
    assert plain.messages == [{"role": "user", "content": "hi"}]
    assert framed.messages == [{"role": "system", "content": "be short"}, *plain.messages]


def test_a_model_without_a_template_continues_the_prompt(start):
    front = start(has_chat_template=False)
    assert request_of(front).prompt == "hi"
    assert request_of(front, system="be short").messages is not None


def test_a_raw_prompt_is_taken_as_it_is(front):
    request = request_of(front, raw=True)
    assert request.segments == [Segment("hi", False)]
    assert request.max_tokens is None


def test_what_only_chats_have_is_named_for_other_prompts(front):
    response = front.post(GENERATE, prompt(raw=True, think=True, truncate=True, stream=False))
    assert response.headers["X-Ignored-Fields"] == "think, truncate"


def test_a_template_of_the_request_is_used(front):
    request = request_of(front, template=TEMPLATE, system="be <|im_end|>")
    assert request.segments == [
        Segment("<|im_start|>system\n", False),
        Segment("be <|im_end|>", True),
        Segment("<|im_end|>\n<|im_start|>user\n", False),
        Segment("hi", True),
        Segment("<|im_end|>\n<|im_start|>assistant\n", False),
    ]


def test_a_suffix_is_filled_in_where_the_model_can(start):
    assert request_of(start(has_infill=True), suffix="end").tokens
    response = start().post(GENERATE, prompt(suffix="end"))
    assert response.status_code == 400
    assert "fill-in-the-middle" in response.get_json()["error"]


def test_thoughts_are_apart(start):
    script = FakeScript(texts=("<think>\nHm hm\n</think>\n\nHi you",))
    front = start(script, chat_template="<think></think>")
    reply = front.post(GENERATE, prompt(stream=False)).get_json()
    assert (reply["response"], reply["thinking"]) == ("Hi you", "Hm hm")
    lines = lines_of(front.post(GENERATE, prompt()))
    assert "".join(line.get("thinking", "") for line in lines) == "Hm hm"


@pytest.mark.parametrize("raw", [True, False])
def test_a_format_and_options_hold_for_every_prompt(front, raw):
    options = {"num_predict": 3, "seed": 1}
    request = request_of(front, raw=raw, format="json", options=options, logprobs=True)
    assert request.grammar
    assert (request.max_tokens, request.sampling.seed, request.n_logprobs) == (3, 1, 0)


def test_no_prompt_loads_the_model_or_lets_it_leave(front):
    for fields, reason in (({}, "load"), ({"prompt": ""}, "load"), ({"keep_alive": 0}, "unload")):
        reply = front.post(GENERATE, {"model": "tiny", **fields}).get_json()
        assert (reply["done"], reply["done_reason"], reply["response"]) == (True, reason, "")
    assert front.core.requests == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"context": [1, 2]}, "context"),
        ({"images": ["aGk="]}, "images"),
        ({"raw": True, "system": "x"}, "system"),
        ({"raw": True, "template": "x"}, "template"),
        ({"raw": True, "suffix": "x"}, "suffix"),
        ({"suffix": "x", "system": "x"}, "system"),
        ({"template": "{{ .Prompt "}, "template"),
        ({"template": "x" * 70_000}, "template"),
        ({"prompt": 1}, "prompt"),
        ({"think": True}, "think"),
        ({"raw": True, "options": {"num_ctx": 1}}, "num_ctx"),
    ],
)
def test_what_is_wrong_is_told_in_one_text(front, fields, word):
    response = front.post(GENERATE, {**prompt(), **fields})
    assert response.status_code == 400, response.text
    assert set(response.get_json()) == {"error"}
    assert word in response.get_json()["error"]


def test_an_empty_context_and_no_images_are_nothing(front):
    assert request_of(front, context=[], images=[]).messages is not None
