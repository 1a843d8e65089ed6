"""X-Ignored-Fields, and --strict-fields."""

from __future__ import annotations

import logging

import pytest

from pyserve.web.request import ignored_fields
from pyserve.web.request.ignored_fields import MAX_SHOWN, Seldom
from tests.support.clocks import Clock
from tests.support.front import CHAT, COMPLETIONS, EMBEDDINGS, chat_body, error_of

HEADER = "X-Ignored-Fields"


def test_a_field_that_nobody_knows_is_named_and_the_request_goes_on(front):
    response = front.post(CHAT, chat_body(wish=1, temperature=0, tools=[]))
    assert (response.status_code, response.headers[HEADER]) == (200, "wish")
    assert HEADER not in front.post(CHAT, chat_body(wish=None)).headers


def test_streams_and_other_endpoints_name_them_as_well(front):
    assert front.post(CHAT, chat_body(wish=1, stream=True)).headers[HEADER] == "wish"
    assert front.post(COMPLETIONS, {"prompt": "p", "wish": 1}).headers[HEADER] == "wish"
    embedded = front.post(EMBEDDINGS, {"input": "i", "temperature": 1, "wish": 1})
    assert embedded.headers[HEADER] == "temperature, wish"
    assert front.post("/tokenize", {"content": "c", "wish": 1}).headers[HEADER] == "wish"


def test_names_cannot_break_the_header_and_are_few(front):
    strange = chat_body(**{"a\r\nX-Evil: 1": 1, "ü": 1, "x" * 5000: 1})
    header = front.post(CHAT, strange).headers[HEADER]
    assert header == f"a%0D%0AX-Evil: 1, {'x' * 100}, %C3%BC"
    many = front.post(CHAT, chat_body(**{f"wish{i}": 1 for i in range(1000)}))
    assert len(many.headers[HEADER].split(", ")) == MAX_SHOWN


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"wish": 1}, "wish"),
        ({"tools": [{"type": "function", "function": {"name": "f"}, "x": 1}]}, "tools.0.x"),
    ],
)
def test_strict_fields_refuses_them(start, fields, param):
    response = start(strict_fields=True).post(CHAT, chat_body(**fields))
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "unknown_parameter")
    assert error["param"] == param


def test_strict_fields_leaves_known_ones_alone(start):
    front = start(strict_fields=True)
    body = chat_body(temperature=0, user="me", cache_prompt=True, min_tokens=0)
    assert front.post(CHAT, body).status_code == 200


def test_the_log_says_it_once_a_minute(front, caplog, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(ignored_fields, "may_log", Seldom(60, clock))
    with caplog.at_level(logging.WARNING, logger="pyserve"):
        for now_s in (0, 1, 59.9, 60):
            clock.now_s = now_s
            front.post(CHAT, chat_body(wish=1))
    assert len([r for r in caplog.records if "wish" in r.getMessage()]) == 2
