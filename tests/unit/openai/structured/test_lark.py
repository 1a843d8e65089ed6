"""Lark's grammars: what their texts are, and where they are wrong."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured import lark
from pyserve.openai.structured.constraint import constraint_of
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.lark import lark_expression
from pyserve.openai.structured.lark_reader import COMMON, LarkError
from pyserve.openai.structured.regex import json_writer, raw_char
from pyserve.openai.structured.regex_tree import length_bounds
from pyserve.openai.structured.rules import Rules
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.schemas.fields.constraints import ConstraintFields
from tests.support.gbnf import as_regex

# The format of patches that Codex describes to models.
PATCH = """
start: "*** Begin Patch" LF change+ "*** End Patch" LF?

change: added | deleted | updated
added: "*** Add File: " path LF ("+" rest LF)+
deleted: "*** Delete File: " path LF
updated: "*** Update File: " path LF moved? hunks?
moved: "*** Move to: " path LF
hunks: (heading | line)+ end_of_file?
heading: ("@@" | "@@ " /(.+)/) LF
line: ("+" | "-" | " ") rest LF  // one line of a file
end_of_file: "*** End of File" LF
path: /(.+)/
rest: /(.*)/

%import common.LF
"""
PATCHES = [
    "*** Begin Patch\n*** Add File: a/b.py\n+print('x')\n+\n*** End Patch",
    "*** Begin Patch\n*** Delete File: old name.txt\n*** End Patch\n",
    "*** Begin Patch\n*** Update File: a.py\n*** Move to: b.py\n@@ def f():\n     x = 1\n-    y\n"
    '+    y = "ü\\n"\n@@\n z\n*** End of File\n*** Delete File: c\n*** End Patch\n',
]
NO_PATCHES = [
    "",
    "*** Begin Patch\n*** End Patch\n",
    "*** Begin Patch\n*** Add File: a\n*** End Patch\n",
    "*** Begin Patch\n*** Add File: a\n-x\n*** End Patch\n",
    "*** Begin Patch\n*** Update File: \n*** End Patch\n",
    "*** Begin Patch\n*** Delete File: a\n*** End Patch\n\n",
    "x*** Begin Patch\n*** Delete File: a\n*** End Patch\n",
]


def grammar(definition, char=raw_char, rules=None):
    rules = rules or Rules()
    root = rules.reserve_root()
    rules.define(root, lark_expression(definition, rules, char))
    return rules.text()


def matches(definition, text):
    return bool(as_regex(grammar(definition)).fullmatch(text))


@pytest.mark.parametrize("text", PATCHES)
def test_patches_are_taken(text):
    assert matches(PATCH, text)


@pytest.mark.parametrize("text", NO_PATCHES)
def test_what_is_no_patch_is_not(text):
    assert not matches(PATCH, text)


def test_a_text_in_json_has_its_escapes():
    rules = JsonRules()
    written = grammar('start: "a\\"" LF /[^x]/\n%import common.LF', json_writer(rules), rules)
    found = as_regex(written)
    assert found.fullmatch('a\\"\\n\\\\')
    assert not found.fullmatch('a"\n\\')


@pytest.mark.parametrize(
    ("definition", "texts", "others"),
    [
        ('start: "a" ["b"] "c"~2', ["acc", "abcc"], ["ac", "abc"]),
        ('start: ("x" | "y"i)~1..2', ["x", "Y", "yX"[0] + "x"], ["X", "xxx"]),
        ('start: "a".."c"+', ["abc"], ["d", ""]),
        ('start: T\nT.2: /[ab]+/i | U\nU: "\\t"', ["aB", "\t"], ["c"]),
        ('?start: "a" -> one\n      | "b" -> two // end\n', ["a", "b"], ["ab"]),
        ('start: start "+" N | N\nN: /[0-9]/', ["1", "1+2+3"], ["+1", "1+"]),
        (
            "start: W+\n%import common (WORD, WS)\n%import common.INT -> N\n%ignore WS\n"
            "W: WORD | N",
            ["a 12  b", " a\n"],
            ["a, b"],
        ),
        ('start: a?\na: /x.y/s "\\u00fc"', ["x\nyü", ""], ["xyü"]),
        ('start: (\n  "a"\n  | "b"\n)', ["a", "b"], [""]),
    ],
)
def test_the_notation_means_what_it_does_in_lark(definition, texts, others):
    for text in texts:
        assert matches(definition, text), text
    for text in others:
        assert not matches(definition, text), text


@pytest.mark.parametrize("name", COMMON)
def test_common_terminals_can_be_imported(name):
    assert grammar(f"start: {name}\n%import common.{name}")


@pytest.mark.parametrize(
    ("definition", "line", "column"),
    [
        ("", 1, 1),
        ("x: /a/", 1, 1),
        ("start: a", 1, 8),
        ('start: "a" "', 1, 12),
        ("start: start", 1, 1),
        ('start: a\na: b "x"\nb: a | "y"', 2, 1),
        ("start: /(?=a)b/", 1, 8),
        ("start: /a(/", 1, 11),
        ("start: /a/x", 1, 8),
        ('start: "a"~5..2', 1, 16),
        ('start: "a"~99999', 1, 12),
        ('start: "a"~' + "0" * 10 + "9" * 5000, 1, 12),
        ('start: "ab".."c"', 1, 8),
        ("%declare X\nstart: X", 1, 1),
        ("start: a{b}", 1, 9),
        ("a{b}: b", 1, 2),
        ("%import common.FOO", 1, 16),
        ("%import python.X", 1, 9),
        ('T: r\nr: "a"\nstart: T', 1, 4),
        ('start: "a"\nstart: "b"', 2, 1),
        ('start: "a" )', 1, 12),
        ('start: "a"\n%ignore start', 2, 9),
        ("start: " + "(" * 100, 1, 73),
        ("/" * 70_000, 1, 1),
        ('start: "x"\n\n\n   !!', 4, 4),
    ],
)
def test_errors_have_a_line_and_a_column(definition, line, column):
    with pytest.raises(LarkError) as caught:
        grammar(definition)
    assert (caught.value.line, caught.value.column) == (line, column), caught.value


@pytest.mark.parametrize(
    ("body", "is_recursive"),
    [
        ('e start "x" | "y"', True),
        ('(e | "z") start', True),
        ("e* start", True),
        ("[f] (f e)~2 start", True),
        ('f start "x" | "y"', True),
        ('(f "z") start | "y"', False),
        ('("z" | g) start | "y"', False),
        ('g~2 start | "y"', False),
        ('g~0..2 start | "y"', True),
    ],
)
def test_what_follows_what_may_be_empty_is_a_beginning(body, is_recursive):
    definition = f'start: {body}\nf: e e | "f"\ne: "" | "e"\ng: "g" e'
    if not is_recursive:
        assert grammar(definition)
        return
    with pytest.raises(LarkError, match="start begins with itself"):
        grammar(definition)


def test_a_chain_of_empty_rules_is_followed_in_one_pass(monkeypatch):
    n_calls = 0

    def counting(tree):
        nonlocal n_calls
        n_calls += 1
        return length_bounds(tree)

    monkeypatch.setattr(lark, "length_bounds", counting)
    rules = [f"r{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400)]
    chain = [f'{rule}: "" {after}' for rule, after in pairwise(rules)]
    assert grammar("\n".join(["start: raa", *chain, f'{rules[-1]}: ""']))
    assert n_calls < 10 * len(rules)


def test_a_grammar_of_a_request_is_checked_at_its_place():
    TextGrammar("regex", "^a(?!b)").check("p")
    for wrong in (TextGrammar("lark", "start: b"), TextGrammar("regex", "\n(")):
        with pytest.raises(InvalidRequestError, match=r"p: .*line \d, column \d") as caught:
            wrong.check("p")
        assert caught.value.param == "p"


@pytest.mark.parametrize("field", ["grammar", "guided_grammar", "ebnf", "structured_outputs"])
def test_a_grammar_without_definitions_as_gbnf_has_them_is_lark(field):
    def constraint(text):
        value = {"grammar": text} if field == "structured_outputs" else text
        return constraint_of(ConstraintFields.model_validate({field: value})).grammar

    lark_text = '%llguidance {}\n# sums\n?start: NUMBER ("+" NUMBER)*\n%import common.NUMBER\n'
    sums = as_regex(constraint(lark_text))
    assert sums.fullmatch("1+2.5")
    assert not sums.fullmatch("1+")
    assert constraint('root ::= "a"') == 'root ::= "a"'
    with pytest.raises(InvalidRequestError, match=r"line 1.* read as Lark.*`root ::=`") as caught:
        constraint("root = 'a'")
    assert caught.value.param == {"structured_outputs": "structured_outputs.grammar"}.get(
        field, field
    )
