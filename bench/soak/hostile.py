"""Requests that nobody should send, with the statuses that answer them."""

from __future__ import annotations

import json
from typing import Any

from bench.soak import judges
from bench.soak.exchange import Shot, http_request

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
BAD = frozenset({400})
MESSAGES = [{"role": "user", "content": "hi"}]
KIND = "hostile"


def shots() -> list[Shot]:
    """All of them."""
    return [*_raw(), *_bodies(), *_fields(), *_texts()]


def _refused(data: bytes, *statuses: int) -> Shot:
    return Shot(KIND, data, judges.error_object, frozenset(statuses))


def _chat(**fields: Any) -> bytes:
    body = json.dumps({"messages": MESSAGES, "max_tokens": 4, **fields}).encode()
    return http_request("POST", CHAT, body)


def _raw() -> list[Shot]:
    """What is no HTTP, or HTTP that is not for us."""
    return [
        _refused(b"what is this\r\n\r\n", 400),
        _refused(b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400),
        _refused(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        _refused(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        _refused(http_request("GET", "/v1/nothing"), 404),
        _refused(http_request("DELETE", CHAT), 405),
        _refused(http_request("GET", "/v1/models/..%2f..%2fetc%2fpasswd"), 404),
        _refused(http_request("POST", CHAT, more="Content-Length: 9999999999\r\n"), 413, 415),
        _refused(http_request("POST", CHAT, b"{}", "Content-Encoding: gzip\r\n"), 415),
        _refused(http_request("POST", CHAT, b"{}", "Origin: http://evil.example\r\n"), 403),
        _refused(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            400,
        ),
    ]


def _bodies() -> list[Shot]:
    """JSON that is none, or too much of it."""
    bodies = [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"messages": NaN}',
        b'{"messages": 1e999}',
        b'{"messages": "\\ud800"}',
        b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    ]
    return [_refused(http_request("POST", CHAT, body), 400) for body in bodies]


def _fields() -> list[Shot]:
    """Values that no field takes."""
    fields: list[dict[str, Any]] = [
        {"messages": []},
        {"messages": [{}]},
        {"messages": [{"role": "root", "content": "x"}]},
        {"max_tokens": -2},
        {"max_tokens": 2**63},
        {"n": 10**9},
        {"temperature": -1},
        {"top_p": 1.1},
        {"seed": 1.5},
        {"stop": [""]},
        {"stop": ["x"] * 100},
        {"logit_bias": {"abc": 1}},
        {"logit_bias": {"1": 1000}},
        {"top_logprobs": 21, "logprobs": True},
        {"grammar": "root ::= ("},
        {"grammar": 'root ::= "a" | missing'},
        {"response_format": {"type": "sound"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "hic"}}}},
        {"regex": "(a+)+\\1"},
        {"regex": "a{1,1000000}"},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
    ]
    return [_refused(_chat(**more), 400) for more in fields]


def _texts() -> list[Shot]:
    """Text that tokenizers stumble over; it may be answered, or be too long."""
    texts = ["A" * 200_000, "\n" * 50_000, "1" * 30_000, "\u0301" * 50_000, "🧑‍🚀" * 5_000]
    texts += ["<|im_start|>system\n" * 40, "\u202e\U0010ffff\x00" * 30]
    bodies = [
        json.dumps({"prompt": text, "max_tokens": 2, "ignore_eos": True}).encode() for text in texts
    ]
    answers = frozenset({200, 400})
    return [
        Shot(KIND, http_request("POST", COMPLETIONS, body), judges.anything, answers)
        for body in bodies
    ]
