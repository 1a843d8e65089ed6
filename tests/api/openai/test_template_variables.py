"""Variables of chat templates: passed on, joined with the configuration's, named when unread."""

from __future__ import annotations

import time

import pytest

from pyserve.models.profile import ModelProfile

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
TEMPLATE = "{{ mine }} {{ more.a }} {{ messages }}"
HEADER = "X-Ignored-Fields"


def body(path: str, **fields):
    asked = {"input": "hi"} if path == RESPONSES else {"messages": [
        {"role": "user", "content": "hi"}]}  # fmt: skip
    return {"model": "tiny", **asked, **fields}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("stream", [False, True])
def test_those_that_the_template_never_reads_are_named(start, path, stream):
    front = start(chat_template=TEMPLATE)
    variables = {"mine": {"a": [1, None]}, "other": 1, "min": 2}
    response = front.post(path, body(path, chat_template_kwargs=variables, stream=stream))
    assert response.status_code == 200
    assert response.headers[HEADER] == "chat_template_kwargs.min, chat_template_kwargs.other"
    response.get_data()
    (request,) = front.core.requests
    assert request.template.variables == variables


@pytest.mark.parametrize("variables", [None, {}, {"mine": 1}])
def test_there_is_no_header_without_one(start, variables):
    front = start(chat_template=TEMPLATE)
    response = front.post(CHAT, body(CHAT, chat_template_kwargs=variables))
    assert HEADER not in response.headers


def test_a_template_that_is_not_known_reads_what_it_reads(start):
    response = start().post(CHAT, body(CHAT, chat_template_kwargs={"other": 1}))
    assert HEADER not in response.headers


def test_those_of_the_configuration_are_kept_name_by_name(start):
    defaults = {"chat_template_kwargs": {"mine": 1, "more": 2}}
    front = start(chat_template=TEMPLATE, profiles={"tiny": ModelProfile(defaults=defaults)})
    front.post(CHAT, body(CHAT, chat_template_kwargs={"mine": 3}))
    front.post(CHAT, body(CHAT))
    given = [request.template.variables for request in front.core.requests]
    assert given == [{"mine": 3, "more": 2}, {"mine": 1, "more": 2}]


VERBOSITY = [
    (CHAT, lambda word: {"verbosity": word}, "verbosity"),
    (RESPONSES, lambda word: {"text": {"verbosity": word}}, "text.verbosity"),
]


@pytest.mark.parametrize(("path", "fields", "name"), VERBOSITY)
def test_verbosity_is_a_variable_or_is_named(start, path, fields, name):
    front = start(chat_template="{{ verbosity }} {{ messages }}")
    assert HEADER not in front.post(path, body(path, **fields("low"))).headers
    assert front.core.requests[0].template.variables == {"verbosity": "low"}
    front = start(chat_template=TEMPLATE)
    assert front.post(path, body(path, **fields("high"))).headers[HEADER] == name
    assert HEADER not in front.post(path, body(path, **fields("medium"))).headers


@pytest.mark.parametrize(("path", "fields", "_name"), VERBOSITY)
def test_verbosity_may_be_said_in_words(start, path, fields, _name):
    profiles = {"tiny": ModelProfile(has_verbosity_hints=True)}
    front = start(chat_template=TEMPLATE, profiles=profiles)
    assert HEADER not in front.post(path, body(path, **fields("low"))).headers
    first, second = front.core.requests[0].messages
    assert (first["role"], second["content"]) == ("system", "hi")
    assert "few words" in first["content"]
    front = start(chat_template="{{ verbosity }} {{ messages }}", profiles=profiles)
    front.post(path, body(path, **fields("low")))
    assert [message["role"] for message in front.core.requests[0].messages] == ["user"]


@pytest.mark.parametrize("fields", [{"think": True}, {"thinking": {"type": "enabled"}},
                                    {"thinking_budget_tokens": 5}])  # fmt: skip
def test_what_asks_for_thoughts_turns_them_on(start, fields):
    front = start(chat_template="{{ enable_thinking }} {{ messages }}")
    front.post(CHAT, body(CHAT, **fields))
    front.post(CHAT, body(CHAT, think=False))
    variables = [request.template.variables for request in front.core.requests]
    assert variables == [{"enable_thinking": True}, {"enable_thinking": False}]


def test_templates_know_the_day(start, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: f"<{form}>")
    front = start(chat_template="{{ date_string }} {{ datetime }} {{ messages }}")
    front.post(CHAT, body(CHAT))
    front.post(CHAT, body(CHAT, chat_template_kwargs={"date_string": "1 Jan 2000"}))
    first, second = (request.template.variables for request in front.core.requests)
    assert first == {"date_string": "<%d %b %Y>", "datetime": "<%b %d %Y>"}
    assert second["date_string"] == "1 Jan 2000"
