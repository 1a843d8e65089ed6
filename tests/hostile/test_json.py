"""Bodies that are no JSON, or JSON that asks for trouble."""

from __future__ import annotations

import json

import pytest

from tests.hostile.conftest import BASES, CHAT, COMPLETIONS, Target, check_refusal, rows

INVALID, DEEP, FLOOD = "invalid_json", "too_deep", "too_many_fields"
UNICODE, TYPE, VALUE = "invalid_unicode", "invalid_type", "invalid_value"
HALF_SCHEMA = b'"guided_json":"{\\"const\\":\\"\\\\ud800\\"}"'
MANY_KEYS = b"{" + b",".join(b'"%d":1' % i for i in range(400_000)) + b"}"


def chat(text: bytes) -> bytes:
    """A chat request with `text` in the place of a value, as it is."""
    return b'{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":' + text + b"}]}"


def field(text: bytes) -> bytes:
    """A chat request with one more member, as it is."""
    return chat(b'"hi"')[:-1] + b"," + text + b"}"


BAD = [
    *(
        (f"body {body!r}", body, INVALID, None)
        for body in (b"", b" ", b"{", b"{} x", b"{'a':1}", b'{"a":1,}', b'{/**/"a":1}', b"{}{}")
    ),
    *((f"body {body!r}", body, INVALID, None) for body in (b"[]", b'"x"', b"42", b"null", b"true")),
    ("900 lists", b"[" * 900, DEEP, None),
    ("100,000 lists", b"[" * 100_000, DEEP, None),
    ("90,000 objects", b'{"a":' * 90_000, DEEP, None),
    ("65 deep", field(b'"json_schema":' + b'{"a":' * 64 + b"1" + b"}" * 64), DEEP, None),
    *(
        (f"number {number.decode()}", field(b'"temperature":' + number), INVALID, None)
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999")
    ),
    ("4,299 digits", field(b'"seed":' + b"9" * 4299), INVALID, None),
    ("5,000 digits", field(b'"seed":' + b"9" * 5000), INVALID, None),
    ("a fraction of 1 MB", field(b'"top_p":0.' + b"9" * 10**6), INVALID, None),
    ("half a character in content", chat(b'"\\ud800"'), UNICODE, None),
    ("half a character in a key", field(b'"\\udfff":1'), UNICODE, None),
    ("half a character in stop", field(b'"stop":"a\\ud83d"'), UNICODE, None),
    ("half a character in a schema", field(HALF_SCHEMA), VALUE, "guided_json"),
    ("no UTF-8", chat(b'"\xff"'), UNICODE, None),
    ("overlong UTF-8", chat(b'"\xc0\xaf"'), UNICODE, None),
    ("a surrogate in UTF-8", chat(b'"\xed\xa0\x80"'), UNICODE, None),
    ("NUL", chat(b'"\0"'), INVALID, None),
    ("byte order mark", b"\xef\xbb\xbf" + chat(b'"x"'), INVALID, None),
    ("UTF-16", chat(b'"x"').decode().encode("utf-16"), UNICODE, None),
    ("UTF-32", chat(b'"x"').decode().encode("utf-32"), UNICODE, None),
    ("UTF-16 without a mark", chat(b'"x"').decode().encode("utf-16-le"), INVALID, None),
    ("U+0000 in stop", field(b'"stop":"\\u0000"'), VALUE, "stop"),
    ("U+0000 in a grammar", field(b'"grammar":"root ::= \\u0000"'), VALUE, "grammar"),
    ("messages twice", field(b'"messages":[]'), INVALID, None),
    ("a key twice in a schema", field(b'"json_schema":{"a":1,"a":1}'), INVALID, None),
    ("400,000 keys", MANY_KEYS, FLOOD, None),
    ("2,000,000 values", b'{"a":[' + b"1," * 2_000_000 + b"1]}", FLOOD, None),
    *(
        (f"n is {value.decode()}", field(b'"n":' + value), TYPE, "n")
        for value in (b"true", b'"5"', b"1.5", b"[]", b"{}")
    ),
    *(
        (f"stream is {value.decode()}", field(b'"stream":' + value), TYPE, "stream")
        for value in (b"1", b'"true"', b"[]")
    ),
]  # fmt: skip
GOOD = [
    ("U+0000 in content", chat(b'"a\\u0000b"')),
    ("names of Python", field(b'"__proto__":{"a":1},"__class__":1,"model.x":1,"self":1')),
    ("unknown fields", field(b'"nobody_knows_this":{"a":[1,2]}')),
    ("fields of clients", field(b'"user":"\xc3\xa9","metadata":{"a":"b"},"store":false')),
    ("nulls", field(b'"n":null,"stop":null,"tools":null,"seed":null,"stream":null')),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "param"), rows(BAD))
def test_refused(target: Target, body: bytes, code: str, param: str | None) -> None:
    check_refusal(target.post(CHAT, body), 400, code, param)


@pytest.mark.parametrize("body", rows(GOOD))
def test_served(target: Target, body: bytes) -> None:
    assert target.post(CHAT, body).status_code == 200


@pytest.mark.parametrize("path", ["/tokenize", "/models/load", "/v1/responses", COMPLETIONS])
@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 10**5, b'{"model":NaN}', b'"\\ud800"'])
def test_every_endpoint_has_the_same_gate(target: Target, path: str, body: bytes) -> None:
    check_refusal(target.post(path, body), 400)


def test_a_good_request_in_any_form_of_json(target: Target) -> None:
    text = json.dumps(BASES[COMPLETIONS], indent=1, ensure_ascii=False).replace("\n", "\r\n\t ")
    assert target.post(COMPLETIONS, text.encode()).status_code == 200
