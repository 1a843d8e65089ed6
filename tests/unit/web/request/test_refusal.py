from __future__ import annotations

import json

import pytest
from gunicorn.http import errors

from pyserve.web.request.refusal import describe_malformed, is_malformed, refuse, stalled


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequestLine("x"), 400, "malformed_request"),
        (errors.InvalidChunkSize(b"zz"), 400, "malformed_request"),
        (errors.LimitRequestLine(5000, 4094), 414, "uri_too_long"),
        (errors.LimitRequestHeaders("too many"), 431, "headers_too_large"),
        (errors.UnsupportedTransferCoding("gzip"), 501, "unsupported_transfer_coding"),
        (errors.InvalidHTTPVersion("9"), 505, "http_version_not_supported"),
        (errors.ConfigurationProblem("secret"), 500, "internal_error"),
        (KeyError("secret"), 500, "internal_error"),
    ],
)
def test_each_error_is_a_whole_response_in_the_openai_shape(error, status, code):
    head, body = refuse(error).to_bytes().split(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert f"Content-Length: {len(body)}" in lines
    assert "Connection: close" in lines
    assert any(line.startswith("X-Request-Id: req_") for line in lines)
    content = json.loads(body)["error"]
    assert set(content) == {"message", "type", "param", "code"}
    assert content["code"] == code
    assert content["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert "secret" not in content["message"]


def test_what_the_parser_quotes_is_printable_and_short():
    text = describe_malformed(errors.InvalidRequestLine("a\r\n\x00b" + "x" * 999))
    assert text.isprintable()
    assert len(text) < 300


def test_only_the_clients_mistakes_are_malformed():
    assert is_malformed(errors.InvalidHeader("x"))
    assert not is_malformed(errors.InvalidResponseHeader("x"))
    assert not is_malformed(OSError())


def test_a_stalled_client_is_told():
    assert stalled().to_bytes().startswith(b"HTTP/1.1 408 Request Timeout\r\n")
