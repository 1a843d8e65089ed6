"""Regular expressions to GBNF: as they are written, or where that cannot be, as an automaton.

An automaton is needed for several expressions at once, for lengths, and for look-ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from pyserve.openai.structured.automaton import (
    Automaton,
    TooManyStatesError,
    automaton_expression,
    is_empty,
    with_length,
)
from pyserve.openai.structured.json_text import JsonRules, json_char
from pyserve.openai.structured.languages import automaton_of, whole
from pyserve.openai.structured.regex_tree import (
    ANY_CHAR,
    ANY_TEXT,
    Alternatives,
    Anchor,
    Chain,
    Chars,
    Repeat,
    Tree,
    UnsupportedRegexError,
    has_context,
    length_bounds,
    parsed_regex,
)
from pyserve.openai.structured.rules import (
    Ranges,
    Rules,
    any_of,
    char_class,
    repeated,
    without_surrogates,
)

T = TypeVar("T")
WriteChar = Callable[[Ranges], str]


def json_text(
    trees: Sequence[Tree],
    rules: JsonRules,
    low: int = 0,
    high: int | None = None,
    excluded: Sequence[Tree] = (),
) -> str:
    """The inside of a JSON string of `low` to `high` characters in which all of `trees` match.

    excluded: what matches none of them. Where an automaton would be too large, only shorter
    strings. Raises UnsupportedRegexError when that leaves none.
    """

    char = json_writer(rules)
    if not trees and not excluded:
        return repeated(rules.char, low, high)
    if len(trees) == 1 and not excluded:
        plain = _of_length(_plain(trees[0]), low, high)
        if plain is not None:
            return written_tree(plain, char)
    return _of_automaton(tuple(trees), tuple(excluded), low, high, rules, char)


def raw_text(trees: Sequence[Tree], rules: Rules, low: int, high: int | None, end: str) -> str:
    """A text as it is of `low` to `high` characters in which all of `trees` match.

    Neither `end` nor line breaks at its own ends are in it. Raises UnsupportedRegexError.
    """
    excluded = [parsed_regex(re.escape(end)), parsed_regex(r"^\n"), parsed_regex(r"\n$")]
    return _of_automaton(tuple(trees), tuple(excluded), low, high, rules, raw_char)


def json_writer(rules: JsonRules) -> WriteChar:
    """Writes characters as they stand in a JSON string; it raises UnsupportedRegexError."""

    def char(ranges: Ranges) -> str:
        return rules.char if tuple(ranges) == ANY_CHAR.ranges else _given(json_char(ranges))

    return char


def plain_regex(pattern: str, rules: Rules) -> str:
    """A text that `pattern` matches from its beginning to its end. Raises UnsupportedRegexError."""
    return whole_text(parsed_regex(pattern), rules, raw_char)


def whole_text(tree: Tree, rules: Rules, char: WriteChar) -> str:
    """A text that `tree` matches from its beginning to its end. Raises UnsupportedRegexError."""
    plain = _plain(whole(_without_edges(tree)))
    if plain is not None:
        return written_tree(plain, char)
    return _of_automaton((whole(tree),), (), 0, None, rules, char)


def can_match(patterns: Sequence[Tree], text: str) -> bool:
    """Whether all of `patterns` match somewhere in `text`. Raises UnsupportedRegexError."""
    automaton = _automaton(tuple(patterns), (), 0, None)
    state = 0
    for char in text:
        code = ord(char)
        symbol = next(
            i
            for i, ranges in enumerate(automaton.symbols)
            if any(low <= code <= high for low, high in ranges)
        )
        state = automaton.steps[state][symbol]
        if state < 0:
            return False
    return automaton.accepts[state]


def _of_automaton(
    trees: tuple[Tree, ...],
    excluded: tuple[Tree, ...],
    low: int,
    high: int | None,
    rules: Rules,
    char: WriteChar,
) -> str:
    automaton = _automaton(trees, excluded, low, high)
    if is_empty(automaton):
        raise UnsupportedRegexError("leaves no text")
    return automaton_expression(automaton, rules, char)


@lru_cache(maxsize=256)
def _automaton(
    trees: tuple[Tree, ...], excluded: tuple[Tree, ...], low: int, high: int | None
) -> Automaton:
    try:
        automaton = automaton_of(trees, excluded)
        return automaton if (low, high) == (0, None) else with_length(automaton, low, high)
    except TooManyStatesError:
        raise UnsupportedRegexError("needs too large an automaton") from None


def _without_edges(tree: Tree) -> Tree:
    """`tree` without anchors where they say nothing: at both ends."""
    match tree:
        case Alternatives(items):
            return Alternatives(tuple(_without_edges(item) for item in items))
        case Chain(items) if items and _is_anchor(items[0], is_end=False):
            return _without_edges(Chain(items[1:]))
        case Chain(items) if items and _is_anchor(items[-1], is_end=True):
            return _without_edges(Chain(items[:-1]))
        case Anchor():
            return Chain(())
    return tree


def _is_anchor(tree: Tree, *, is_end: bool) -> bool:
    return isinstance(tree, Anchor) and tree.is_end == is_end


def _plain(tree: Tree) -> Tree | None:
    """The whole of the texts in which `tree` matches, without context; None: not that simply."""
    if isinstance(tree, Alternatives):
        items = [_plain(item) for item in tree.items]
        found = tuple(item for item in items if item is not None)
        return Alternatives(found) if len(found) == len(items) else None
    inside = list(tree.items) if isinstance(tree, Chain) else [tree]
    before, after = [ANY_TEXT], [ANY_TEXT]
    if inside and _is_anchor(inside[0], is_end=False):
        before, inside = [], inside[1:]
    if inside and _is_anchor(inside[-1], is_end=True):
        after, inside = [], inside[:-1]
    if any(has_context(item) for item in inside):
        return None
    return Chain((*before, *inside, *after))


def _of_length(tree: Tree | None, low: int, high: int | None) -> Tree | None:
    """The texts of `tree` with these lengths; None: not that simply."""
    if tree is None:
        return None
    least, most = length_bounds(tree)
    if least >= low and (high is None or (most is not None and most <= high)):
        return tree
    if isinstance(tree, Chain) and len(tree.items) == 1:
        return _of_length(tree.items[0], low, high)
    if isinstance(tree, Repeat) and isinstance(tree.item, Chars):
        limits = [limit for limit in (tree.high, high) if limit is not None]
        low = max(low, tree.low)
        if not limits or low <= min(limits):
            return Repeat(tree.item, low, min(limits) if limits else None)
    return None


def raw_char(ranges: Ranges) -> str:
    """One of these characters in a text. Raises UnsupportedRegexError when there is none."""
    return char_class(_given(without_surrogates(ranges)))


def _given(value: T | None) -> T:
    if not value:
        raise UnsupportedRegexError("has a class without any character that the text can have")
    return value


def written_tree(tree: Tree, char: WriteChar) -> str:
    """GBNF of a tree without context. Raises UnsupportedRegexError."""
    match tree:
        case Chars(ranges):
            return char(ranges)
        case Chain(items):
            return " ".join(written_tree(item, char) for item in items) or '""'
        case Alternatives(items):
            return any_of(written_tree(item, char) for item in items)
        case Repeat(Chars() as item, low, high):
            return _quantified(written_tree(item, char), low, high)
        case Repeat(item, low, high):
            return _quantified(f"({written_tree(item, char)})", low, high)
    raise AssertionError(tree)


def _quantified(expression: str, low: int, high: int | None) -> str:
    sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
    return expression + sign if sign else f"{expression}{{{low},{'' if high is None else high}}}"
