from __future__ import annotations

import io

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import GenerateRequest
from tests.support.front import (
    CHAT,
    COMPLETIONS,
    EDITS,
    RESPONSES,
    Front,
    chat_body,
    error_of,
)

JSON = {"Content-Type": "application/json"}
ALL = (CHAT, COMPLETIONS, EDITS, RESPONSES)


@pytest.mark.parametrize("path", ["/nope", "/v1/nope", "/v1//nope", "/v1/models/%2e%2e/x/../y"])
def test_an_unknown_path_is_404(front, path):
    response = front.client.get(path)
    assert response.status_code == 404
    assert error_of(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_405_and_says_what_is_allowed(front, path, method):
    response = front.client.open(path, method=method)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_anything_but_json_is_415(front, path, headers):
    response = front.client.post(path, data=b"{}", headers=headers)
    assert response.status_code == 415
    assert error_of(response)["code"] == "unsupported_media_type"


class ResetInput:
    """A body whose client has reset the connection."""

    def read(self, _size: int) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")


def test_a_client_that_leaves_while_it_sends_is_no_defect(front, caplog):
    environ = {"wsgi.input": ResetInput(), "CONTENT_LENGTH": "9"}
    response = front.client.post(CHAT, headers=JSON, environ_overrides=environ)
    assert response.status_code == 499
    assert "failed" not in caplog.text


def test_json_may_name_its_charset(front):
    headers = {"Content-Type": "Application/JSON; charset=UTF-8", "Content-Encoding": "identity"}
    assert front.client.post(COMPLETIONS, data=b"{}", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"n":NaN}', "invalid_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":"\xff"}', "invalid_unicode"),
    ],
)
def test_malformed_json_is_400(front, path, body, code):
    response = front.client.post(path, data=body, headers=JSON)
    assert response.status_code == 400
    assert error_of(response)["code"] == code


def test_a_field_of_the_wrong_type_is_named_by_its_path(front):
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}
    response = front.post(CHAT, body)
    error = error_of(response)
    assert response.status_code == 400
    assert (error["param"], error["code"]) == ("messages.0.content.0.text", "invalid_type")


def post_chunked(front: Front, body: bytes):
    return front.client.post(
        COMPLETIONS,
        input_stream=io.BytesIO(body),
        headers={**JSON, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )


def test_a_body_over_the_limit_is_413(start):
    front = start(max_body_bytes=100)
    body = b'{"prompt":"' + b"x" * 100 + b'"}'
    announced = front.client.post(COMPLETIONS, data=body, headers=JSON)
    for response in (announced, post_chunked(front, body)):
        assert response.status_code == 413
        error = error_of(response)
        assert error["code"] == "request_too_large"
        assert "100" in error["message"]


def test_a_body_at_the_limit_is_read(start):
    body = b'{"prompt":"hello there"}'
    front = start(max_body_bytes=len(body))
    announced = front.client.post(COMPLETIONS, data=body, headers=JSON)
    for response in (announced, post_chunked(front, body)):
        assert response.get_json()["choices"][0]["text"] == "hello there"


def test_a_body_that_breaks_off_is_400(front):
    response = front.client.post(
        COMPLETIONS,
        input_stream=io.BytesIO(b"{}"),
        headers=JSON,
        environ_overrides={"CONTENT_LENGTH": "10"},
    )
    assert response.status_code == 400
    assert "2 of 10" in error_of(response)["message"]


def test_an_unexpected_exception_is_500_and_tells_nothing(front, caplog):
    @front.app.get("/broken")
    def broken():
        raise KeyError("secret")

    response = front.client.get("/broken", headers={"X-Request-Id": "my-id"})
    assert response.status_code == 500
    error = error_of(response)
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in response.text
    assert "my-id" in error["message"]
    assert "secret" in caplog.text


def test_a_full_queue_is_503_with_retry_after_and_nothing_stays_behind(start):
    front = start(FakeScript(hold_after=0), engine={"n_seq_max": 1, "n_queue_max": 1})
    for _ in range(2):
        front.engine.submit(GenerateRequest(prompt="in the way"))
    response = front.post(CHAT, chat_body(n=3))
    assert response.status_code == 503
    error = error_of(response)
    assert (error["type"], error["code"]) == ("unavailable_error", "queue_full")
    assert int(response.headers["Retry-After"]) >= 1
    assert len(front.core.requests) == 2
    assert front.stream_limit.n_held == 0


def test_more_requests_than_the_front_holds_are_503(start):
    front = start(FakeScript(hold_after=1), max_streams=1)
    first = front.post(CHAT, chat_body(stream=True))
    assert first.status_code == 200
    refused = front.post(CHAT, chat_body())
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "queue_full"
    unread = front.client.post(CHAT, data=b"{", content_type="application/json")
    assert error_of(unread)["code"] == "queue_full"
    assert front.client.get("/health").status_code == 200
    first.close()
    front.core.release()
    assert front.post(CHAT, chat_body()).status_code == 200


@pytest.mark.parametrize("given", ["abc-123", "x" * 128])
def test_a_sane_request_id_is_kept(front, given):
    for path in ("/health", "/nope", "/v1/models/x"):
        response = front.client.get(path, headers={"X-Request-Id": given})
        assert response.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "é", "a\tb"])
def test_any_other_is_replaced(front, given):
    response = front.client.get("/health", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"].startswith("req_")


def test_fresh_request_ids_differ(front):
    ids = {front.client.get("/health").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
