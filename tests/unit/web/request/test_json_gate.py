from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.errors import InvalidRequestError
from pyserve.web.request.json_gate import MAX_DEPTH, MAX_KEYS, parse_object

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
JSON_SOUP = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b"\\",
            b":",
            b",",
            b"1",
            b"e9",
            b"-",
            b".",
            b"true",
            b"null",
            b"NaN",
            b"\\u",
            b"d800",
            b"\xff",
            b"\xc3\xa9",
            b" ",
            b"a",
        ]
    ),
    max_size=60,
).map(b"".join)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5), st.booleans())
def test_every_json_object_comes_through_unchanged(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_object(text.encode()) == value


@given(st.binary(max_size=200) | JSON_SOUP | JSON_SOUP.map(lambda soup: b'{"a":' + soup + b"}"))
def test_bytes_give_a_dict_or_an_invalid_request_error(body):
    with contextlib.suppress(InvalidRequestError):
        assert isinstance(parse_object(body), dict)


@given(st.text(alphabet='"\\{}[]:,a1 ', max_size=30))
def test_what_stands_in_strings_does_not_count_as_structure(text):
    body = json.dumps({"a": text * 50}).encode()
    assert parse_object(body) == {"a": text * 50}


def nested(depth: int) -> bytes:
    """An object with lists in it, `depth` levels in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_the_deepest_allowed_nesting_is_read():
    assert "a" in parse_object(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b" \n", "invalid_json"),
        (b"{", "invalid_json"),
        (b"{} x", "invalid_json"),
        (b"{'a':1}", "invalid_json"),
        (b'{"a":1,}', "invalid_json"),
        (b'{"a":1 /* c */}', "invalid_json"),
        (b'{"a":"\n"}', "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"x"', "invalid_json"),
        (b"42", "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"a":NaN}', "invalid_json"),
        (b'{"a":Infinity}', "invalid_json"),
        (b'{"a":-Infinity}', "invalid_json"),
        (b'{"a":1e999}', "invalid_json"),
        (b'{"a":-1e999}', "invalid_json"),
        (b'{"a":' + b"1" * 65 + b"}", "invalid_json"),
        (b'{"a":0.' + b"9" * 100_000 + b"}", "invalid_json"),
        (b'{"a":1,"a":2}', "invalid_json"),
        (b'{"b":{"a":1,"a":1}}', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        ('{"a":1}'.encode("utf-16"), "invalid_unicode"),
        (b'{"a":"\xc0\xaf"}', "invalid_unicode"),
        (b'{"a":"\xed\xa0\x80"}', "invalid_unicode"),
        (b'{"a":"\\ud800"}', "invalid_unicode"),
        (b'{"\\uDFFF":1}', "invalid_unicode"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 90_000, "too_deep"),
        (nested(MAX_DEPTH + 1), "too_deep"),
        (nested(20_000), "too_deep"),
        (b'{"a":[' + b"[]," * 100_001 + b"1]}", "too_many_fields"),
        (b'{"a":[' + b'"",' * 200_001 + b"1]}", "too_many_fields"),
        (b'{"a":[' + b"0," * 1_000_001 + b"1]}", "too_many_fields"),
        (b'"' * 1_000_000, "too_many_fields"),
        (
            b"{" + b",".join(b'"%d":1' % i for i in range(MAX_KEYS + 1)) + b"}",
            "too_many_fields",
        ),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
def test_refused(body, code):
    with pytest.raises(InvalidRequestError) as caught:
        parse_object(body)
    assert caught.value.code == code


def test_pairs_of_surrogate_escapes_are_one_character():
    assert parse_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_the_nul_character_is_text():
    assert parse_object(b'{"a":"\\u0000"}') == {"a": "\0"}


def test_a_long_list_of_tokens_is_read():
    assert len(parse_object(b'{"prompt":[' + b"7," * 999_999 + b"7]}")["prompt"]) == 1_000_000


def test_a_number_of_64_digits_is_read():
    assert parse_object(b'{"a":' + b"1" * 64 + b"}") == {"a": int("1" * 64)}


@pytest.mark.parametrize(
    ("text", "value"),
    [("4.0", 4), ("-4.0", -4), ("4e2", 400), ("4.5", 4.5), ("1e300", 1e300), ("-0.0", 0)],
)
def test_a_number_without_a_fraction_is_an_integer(text, value):
    found = parse_object(f'{{"a": {text}}}'.encode())["a"]
    assert (found, type(found)) == (value, type(value))
