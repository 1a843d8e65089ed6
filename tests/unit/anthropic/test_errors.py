from __future__ import annotations

import pytest

from pyserve.anthropic.errors import ANTHROPIC

ERROR = {"message": "no", "type": "t", "param": None, "code": "c"}
TOO_LONG = {**ERROR, "code": "context_length_exceeded", "n_prompt_tokens": 9312, "n_ctx": 8192}


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (405, 405, "invalid_request_error"),
        (413, 413, "request_too_large"),
        (415, 415, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (501, 501, "api_error"),
        (503, 529, "overloaded_error"),
    ],
)
def test_a_status_has_its_type(status, told, kind):
    error = {"type": kind, "message": "no"}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    assert ANTHROPIC.tell(status, ERROR, "req_1") == (told, body)


def test_a_thread_is_refused_by_the_code_by_which_clients_send_it_whole():
    refused = {**ERROR, "code": "unsupported_parameter", "param": "thread"}
    _, body = ANTHROPIC.tell(400, refused, "req_1")
    assert body["error"]["details"] == {"error_code": "thread_unsupported_request"}
    _, other = ANTHROPIC.tell(400, {**refused, "param": "stop"}, "req_1")
    assert "details" not in other["error"]


def test_a_prompt_that_is_too_long_is_told_in_the_words_by_which_clients_compact():
    _, body = ANTHROPIC.tell(400, TOO_LONG, "req_1")
    assert body["error"]["message"] == "prompt is too long: 9312 tokens > 8191 maximum"
