"""`chat_template` and `documents` in a chat: which servers and templates take them."""

from __future__ import annotations

import pytest

from tests.support.front import CHAT, chat_body, error_of

SOURCE = "{% for m in messages %}{{ m.content }}{% endfor %}{{ documents }}"


def test_a_template_is_taken_only_where_clients_are_trusted(start):
    front = start()
    for path in (CHAT, "/apply-template", "/tokenize"):
        reply = front.post(path, chat_body(chat_template=SOURCE))
        assert reply.status_code == 400
        error = error_of(reply)
        assert error["param"] == "chat_template"
        assert "--trust-request-chat-template" in error["message"]
    assert front.core.requests == []


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
def test_a_trusted_template_makes_the_prompt(start, fields):
    front = start(trust_request_chat_template=True)
    body = chat_body(chat_template=SOURCE, documents=["One."], **fields)
    assert front.post(CHAT, body).status_code == 200
    (request,) = front.core.requests
    assert request.messages is None
    assert [segment.is_input for segment in request.segments] == [False, True]
    assert request.segments[0].text == SOURCE
    prompt = front.post("/apply-template", body).get_json()["prompt"]
    assert prompt.startswith(SOURCE)


def test_without_one_a_trusting_server_uses_the_models(start):
    front = start(trust_request_chat_template=True)
    assert front.post(CHAT, chat_body()).status_code == 200
    assert front.core.requests[-1].messages is not None


@pytest.mark.parametrize(
    ("value", "param"), [("x" * 65_537, "chat_template"), (1, "chat_template")]
)
def test_what_is_no_template_is_refused(start, value, param):
    front = start(trust_request_chat_template=True)
    reply = front.post(CHAT, chat_body(chat_template=value))
    assert (reply.status_code, error_of(reply)["param"]) == (400, param)


def test_documents_reach_templates_that_show_them(start):
    front = start(chat_template=SOURCE)
    documents = [{"title": "T", "text": "One."}, "Two."]
    assert front.post(CHAT, chat_body(documents=documents)).status_code == 200
    options = front.core.requests[-1].template
    assert options.documents == [documents[0], {"text": "Two."}]


@pytest.mark.parametrize("documents", [["One."], [{"text": "One."}]])
def test_documents_that_no_template_shows_are_refused(start, documents):
    front = start(chat_template="{{ messages }}")
    reply = front.post(CHAT, chat_body(documents=documents))
    assert (reply.status_code, error_of(reply)["param"]) == (400, "documents")
    assert front.post(CHAT, chat_body(documents=[])).status_code == 200


@pytest.mark.parametrize("documents", [["x"] * 1001, [1], "x", [{"text": "x" * 2_100_000}]])
def test_documents_have_bounds(start, documents):
    front = start(chat_template=SOURCE)
    reply = front.post(CHAT, chat_body(documents=documents))
    assert reply.status_code == 400
    assert error_of(reply)["param"].startswith("documents")
