"""`num_ctx`, also in `options`: prompt and answer together have no more tokens."""

from __future__ import annotations

import pytest

from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, chat_body, error_of

BODIES = {
    CHAT: chat_body("one two three four"),
    COMPLETIONS: {"prompt": "one two three four", "max_tokens": -1},
    EDITS: {"instruction": "one two three four", "input": "five"},
    RESPONSES: {"input": "one two three four"},
}
COUNTS = {CHAT: "completion_tokens", COMPLETIONS: "completion_tokens", EDITS: "completion_tokens"}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["num_ctx", "options"])
def test_an_answer_ends_where_the_context_does(front, path, name):
    usage = front.post(path, BODIES[path]).get_json()["usage"]
    n_prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    limit = {"num_ctx": n_prompt + 1}
    body = {**BODIES[path], **(limit if name == "num_ctx" else {"options": limit})}
    usage = front.post(path, body).get_json()["usage"]
    assert usage.get("completion_tokens", usage.get("output_tokens")) == 1
    n_submitted = len(front.core.requests)
    response = front.post(path, {**body, "num_ctx": n_prompt, "options": None})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
    assert len(front.core.requests) == n_submitted


def test_more_than_the_models_is_no_limit(front):
    response = front.post(CHAT, chat_body(num_ctx=10**6))
    assert (response.status_code, response.headers["X-Ignored-Fields"]) == (200, "num_ctx")


def test_two_values_of_one_thing_are_refused(front):
    body = chat_body(num_ctx=64, options={"num_ctx": 65})
    assert error_of(front.post(CHAT, body))["param"] == "options.num_ctx"


def test_other_options_are_refused_by_name(front):
    error = error_of(front.post(CHAT, chat_body(options={"temperature": 0})))
    assert (error["code"], error["param"]) == ("unsupported_parameter", "options.temperature")


def test_truncation_looks_at_it(front):
    turns = [{"role": role, "content": "one two"} for role in ("user", "assistant") * 10]
    body = {"messages": [*turns, {"role": "user", "content": "last"}], "truncation": "auto"}
    assert front.post(CHAT, body).headers["X-Dropped-Messages"] == "0"
    assert int(front.post(CHAT, {**body, "num_ctx": 16}).headers["X-Dropped-Messages"]) > 0
