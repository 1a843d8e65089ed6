"""Thoughts apart from answers."""

from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import ThinkingLimit
from pyserve.models.profile import (
    ModelProfile,
    PromptProfile,
    ShapeProfile,
    TemplateSource,
    ThinkingProfile,
)
from tests.support.front import CHAT, chat_body, events_of

TEMPLATE = "<think></think>{% if enable_thinking %}"
SAID = "<think>\nHm hm\n</think>\n\nHi you"


@pytest.fixture
def say(start):
    """A front whose model thinks, and says the given texts."""
    return lambda *texts: start(FakeScript(texts=texts), chat_template=TEMPLATE)


def test_thoughts_are_no_content(say):
    body = say(SAID).post(CHAT, chat_body()).get_json()
    message = body["choices"][0]["message"]
    assert message["content"] == "Hi you"
    assert message["reasoning_content"] == message["reasoning"] == "Hm hm"
    usage = body["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4
    assert usage["completion_tokens"] == 6


def test_a_stream_gives_thoughts_first(say):
    body = chat_body(stream=True, stream_options={"include_usage": True})
    *events, _ = events_of(say(SAID).post(CHAT, body))
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm hm"
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hi you"
    assert events[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4


def test_thoughts_are_left_in_the_content_or_hidden_on_request(say):
    message = say(SAID).post(CHAT, chat_body(reasoning_format="none")).get_json()
    assert message["choices"][0]["message"]["content"] == SAID
    hidden = say(SAID).post(CHAT, chat_body(include_reasoning=False)).get_json()
    assert hidden["choices"][0]["message"]["content"] == "Hi you"
    assert "reasoning" not in hidden["choices"][0]["message"]
    assert hidden["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, False),
        ({"metadata": {"enable_thinking": "true"}}, True),
        ({"metadata": {"enable_thinking": "false"}, "reasoning_effort": "low"}, True),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True),
    ],
)
def test_a_request_may_think_where_its_model_does_not(start, fields, thinks):
    profile = ModelProfile(defaults={"reasoning_effort": "none"})
    front = start(FakeScript(texts=(SAID,)), chat_template=TEMPLATE, profiles={"tiny": profile})
    assert front.post(CHAT, chat_body(**fields)).status_code == 200
    request = front.core.requests[-1]
    assert request.template.variables["enable_thinking"] is thinks
    assert (request.thinking is not None and request.thinking.max_tokens == 0) is not thinks


def test_metadata_may_say_not_to_think(say):
    front = say(SAID)
    front.post(CHAT, chat_body(metadata={"enable_thinking": "false"}))
    assert front.core.requests[-1].template.variables == {"enable_thinking": False}


GO = PromptProfile(chat=TemplateSource("chat", "{{.Input}}<a>"))
GO_OPEN = PromptProfile(chat=TemplateSource("chat", "{{.Input}}<a><t>"))
TAGS = ThinkingProfile(tags=(("<t>", "</t>"),))


@pytest.mark.parametrize(
    ("profile", "said", "thoughts", "content"),
    [
        (ModelProfile(prompt=GO), SAID, "Hm hm", "Hi you"),
        (ModelProfile(thinking=TAGS), "<t>Hm</t>Hi", "Hm", "Hi"),
        (ModelProfile(thinking=TAGS), SAID, None, SAID),
        (ModelProfile(thinking=TAGS, prompt=GO_OPEN), "Hm</t>Hi", "Hm", "Hi"),
        (
            ModelProfile(thinking=TAGS, prompt=GO_OPEN, shape=ShapeProfile(prefix="<t>")),
            "Hm</t>Hi",
            "Hm",
            "Hi",
        ),
        (
            ModelProfile(thinking=msgspec.structs.replace(TAGS, starts=("<a>",)), prompt=GO),
            "Hm</t>Hi",
            "Hm",
            "Hi",
        ),
        (
            ModelProfile(
                thinking=msgspec.structs.replace(TAGS, is_never_open=True), prompt=GO_OPEN
            ),
            "Hi",
            None,
            "Hi",
        ),
    ],
)
def test_tags_of_the_configuration(start, profile, said, thoughts, content):
    front = start(FakeScript(texts=(said,)), profiles={"tiny": profile}, chat_template=TEMPLATE)
    message = front.post(CHAT, chat_body()).get_json()["choices"][0]["message"]
    assert (message.get("reasoning_content"), message["content"]) == (thoughts, content)


def test_a_model_that_does_not_think_shows_everything(start):
    front = start(FakeScript(texts=(SAID,)))
    body = chat_body(reasoning_effort="high", thinking_budget_tokens=5)
    message = front.post(CHAT, body).get_json()["choices"][0]["message"]
    assert message["content"] == SAID
    (request,) = front.core.requests
    assert (request.thinking, request.template) == (None, None)


def test_a_model_that_does_not_think_says_that_it_was_asked_to(start):
    front = start(chat_template="{{ messages }}")
    for fields, named in (
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"think": True, "reasoning_budget": 5}, "think, reasoning_budget"),
        ({"reasoning": {"enabled": True}}, "reasoning"),
        ({"reasoning_budget_message": "Enough."}, "reasoning_budget_message"),
        ({"reasoning_effort": "none"}, None),
        ({}, None),
    ):
        response = front.post(CHAT, chat_body(**fields))
        assert response.headers.get("X-Ignored-Fields") == named
    front = start(chat_template=TEMPLATE)
    assert "X-Ignored-Fields" not in front.post(CHAT, chat_body(think=True)).headers
    body = chat_body(think=True, reasoning_budget_message="Enough.")
    assert front.post(CHAT, body).headers["X-Ignored-Fields"] == "reasoning_budget_message"


def test_what_thoughts_end_with_reaches_the_engine(say):
    front = say("Hi")
    body = chat_body(reasoning_budget=7, reasoning_budget_message="Enough.")
    assert "X-Ignored-Fields" not in front.post(CHAT, body).headers
    (request,) = front.core.requests
    assert (request.thinking.max_tokens, request.thinking.message) == (7, "Enough.")


@pytest.mark.parametrize(
    ("fields", "variables", "n_tokens"),
    [
        ({}, {}, None),
        ({"reasoning_effort": "none"}, {"enable_thinking": False}, 0),
        ({"reasoning_effort": "low"}, {"enable_thinking": True}, 512),
        ({"reasoning_effort": "xhigh"}, {"enable_thinking": True}, None),
        ({"reasoning_effort": "low", "reasoning_budget": 7}, {"enable_thinking": True}, 7),
        ({"thinking_budget_tokens": 3}, {"enable_thinking": True}, 3),
        ({"thinking_token_budget": 0}, {}, 0),
        ({"reasoning_budget_tokens": -1}, {}, None),
        ({"chat_template_kwargs": {"thinking": True}}, {"thinking": True}, None),
    ],
)
def test_effort_and_budget_reach_the_engine(say, fields, variables, n_tokens):
    front = say("Hi")
    assert front.post(CHAT, chat_body(**fields)).status_code == 200
    (request,) = front.core.requests
    assert (request.template.variables if request.template else {}) == variables
    limit = ThinkingLimit(begin="<think>", end="</think>", is_open=False, max_tokens=n_tokens or 0)
    assert request.thinking == (None if n_tokens is None else limit)


def test_a_constraint_begins_after_the_thoughts(say):
    front = say("Hi")
    front.post(CHAT, chat_body(choice=["yes", "no"]))
    grammar = front.core.requests[0].grammar
    assert '"<think>"' in grammar
    assert "part0-root ::=" in grammar
