"""Formats of strings."""

from __future__ import annotations

import itertools
import re
from datetime import date, timedelta

import jsonschema
import pytest

from pyserve.openai.structured.formats import FORMATS


def takes(name: str, text: str) -> bool:
    return re.fullmatch(FORMATS[name], text) is not None


def test_every_date_is_one_and_nothing_else():
    begin, end = date(1890, 1, 1), date(2110, 1, 1)
    days = {(begin + timedelta(n)).isoformat() for n in range((end - begin).days)}
    written = itertools.product(range(1890, 2110), range(14), range(33))
    for text in (f"{year}-{month:02}-{day:02}" for year, month, day in written):
        assert takes("date", text) == (text in days), text
    assert takes("date-time", "2024-02-29T23:59:59Z")
    assert not takes("date-time", "2023-02-29T23:59:59Z")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("email", "John.Doe+tag@Example.COM"),
        ("hostname", "Build-01.Example.com"),
        ("uuid", "123E4567-e89b-12d3-A456-426614174000"),
        ("ipv6", "2001:DB8::ff"),
        ("uri", "https://Example.com/Path?q=1"),
    ],
)
def test_letters_may_be_capital(name, text):
    assert takes(name, text)
    jsonschema.FormatChecker().check(text, name)
