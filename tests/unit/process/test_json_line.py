"""JSON that stays one line for every reader."""

from __future__ import annotations

import json
import sys

import msgspec

from pyserve.process.json_line import ends_lines, json_line

# As str.splitlines knows them, beyond those that no JSON string holds.
ENDS = [c for c in map(chr, range(sys.maxunicode + 1)) if len(f"a{c}b".splitlines()) > 1]


def test_no_character_ends_the_line():
    text = "“a” é " + "x".join(ENDS)
    line = json_line({text: [text, msgspec.Raw(msgspec.json.encode(text))]}).decode()
    assert line.splitlines() == [line]
    assert json.loads(line) == {text: [text, text]}


def test_all_other_text_is_written_as_ever():
    for content in ("plain", "Zoë “quoted” \U0001f600", {"a": [1, None]}):
        assert json_line(content) == msgspec.json.encode(content)


def test_a_text_with_such_an_end_is_told():
    for end in ENDS:
        assert ends_lines(f"a{end}") == (json_line(end) != msgspec.json.encode(end))
    assert not ends_lines("Zoë “quoted” \n")
