"""Regular expressions: what is read, and what automata say of texts beside Python's `re`."""

from __future__ import annotations

import re

import pytest

from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.regex import can_match, json_text, plain_regex
from pyserve.openai.structured.regex_tree import UnsupportedRegexError, length_bounds, parsed_regex
from pyserve.openai.structured.rules import Rules

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "ba",
    "aab",
    "abc",
    "a-b",
    "a\nb",
    "é1",
    "admin",
    "adm",
    "12",
    " x ",
    "xx",
]


@pytest.mark.parametrize(
    "pattern",
    [
        "a(?<=b)",
        "a(?<!b)",
        "(?i)a",
        r"(a)\1",
        r"\bword",
        "a++",
        "a**",
        "*a",
        "a{2",
        "a{3,2}",
        "a{65537}",
        "a{99999999999}",
        "(a",
        "a)",
        "[a",
        "[z-a]",
        "[]",
        "[^\\s\\S]",
        "a^b",
        "^*",
        "\\",
        "\\xZZ",
        "\\u{110000}",
        "(" * 40 + ")" * 40,
    ],
)
def test_expressions_that_are_not_regular_are_refused(pattern):
    with pytest.raises(UnsupportedRegexError):
        plain_regex(pattern, Rules())


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "^a",
        "a$",
        "^a$",
        "^a|b$",
        "(^a|b)$",
        "^(a|b)*$",
        "^(?!admin$)[a-z]+$",
        "^(?=.*b)a.*$",
        "^(?!.*b)",
        "a(?=b)",
        "a(?!b)",
        "^(ab?|b){1,2}$",
        r"\d",
        r"^\S+$",
        r"^[^\w]",
        r"^[\w-]+$",
        "^.$",
        "a$|^b",
        "(?:a$)?b",
        "x{2}",
        "",
    ],
)
def test_automata_find_what_python_finds(pattern):
    tree = parsed_regex(pattern)
    python = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    for text in TEXTS:
        assert can_match([tree], text) == bool(python.search(text)), text


def test_several_expressions_hold_at_once():
    trees = [parsed_regex("^a"), parsed_regex("b$"), parsed_regex("^.{2,3}$")]
    assert [text for text in TEXTS if can_match(trees, text)] == ["ab", "aab", "a-b"]


@pytest.mark.parametrize(
    ("pattern", "low", "high", "expected"),
    [
        ("^[a-c]+$", 2, 3000, "[a-c]{2,3000}"),
        ("^[a-c]{3,9}$", 2, 5, "[a-c]{3,5}"),
        ("^ab$", 1, 2, "[a] [b]"),
        ("^a$", 0, None, "[a]"),
    ],
)
def test_lengths_beside_simple_patterns_are_repetitions(pattern, low, high, expected):
    written = json_text([parsed_regex(pattern)], JsonRules(), low, high)
    assert written.replace("(", "").replace(")", "") == expected


def test_lengths_that_contradict_a_pattern_leave_nothing():
    for low, high in ((3, None), (0, 1)):
        with pytest.raises(UnsupportedRegexError, match="leaves no text"):
            json_text([parsed_regex("^(ab)$")], JsonRules(), low, high)


def test_anchors_may_be_left_out_where_all_of_a_text_is_meant():
    assert plain_regex("a", Rules()) == plain_regex("^a$", Rules())
    rules = Rules()
    plain_regex("(?!x)[a-z]", rules)
    assert len(rules) > 0


@pytest.mark.parametrize(
    ("pattern", "bounds"),
    [("ab?", (1, 2)), ("(a|bcd)*", (0, None)), ("a{2,3}|bbbbb", (2, 5)), ("(){5}", (0, 0))],
)
def test_lengths_of_texts_are_known(pattern, bounds):
    assert length_bounds(parsed_regex(pattern)) == bounds
