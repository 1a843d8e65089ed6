"""Sets of texts made of expressions, with intersection and complement, as automata.

A set is a number in the table of `Languages`. The automaton's states are what is left to read
(Brzozowski, Derivatives of Regular Expressions, 1964).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from pyserve.openai.structured.automaton import Automaton, explored
from pyserve.openai.structured.regex_tree import (
    Alternatives,
    Anchor,
    Chain,
    Chars,
    LookAhead,
    Repeat,
    Span,
    Tree,
    UnsupportedRegexError,
    has_context,
    length_bounds,
)
from pyserve.openai.structured.rules import MAX_CODE_POINT

_Node = tuple[Any, ...]  # its kind, and what it is made of
Ranges = tuple[Span, ...]
MAX_SYMBOLS = 128
MAX_DERIVED_STATES = 1000
NOTHING = 0
EMPTY_TEXT = 1


def automaton_of(trees: Sequence[Tree], excluded: Sequence[Tree] = ()) -> Automaton:
    """The texts in which all of `trees` are found, and none of `excluded`.

    Raises UnsupportedRegexError, TooManyStatesError.
    """
    table = Languages([*trees, *excluded])
    sets = [table.searched(tree) for tree in trees]
    sets += [table.complement(table.searched(tree)) for tree in excluded]
    return table.automaton(table.both(sets))


def whole(tree: Tree) -> Tree:
    """What is found in a text that `tree` matches from its beginning to its end."""
    return Chain((Anchor(is_end=False), tree, Anchor(is_end=True)))


class Languages:
    """A table of sets of texts over the characters that `trees` tell apart."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        cuts = {0, MAX_CODE_POINT + 1}
        for tree in trees:
            _add_cuts(tree, cuts)
        ends = sorted(cuts)
        spans = [(low, high - 1) for low, high in pairwise(ends)]
        self._symbols = _symbols(spans, trees)
        if len(self._symbols) > MAX_SYMBOLS:
            raise UnsupportedRegexError(f"tells more than {MAX_SYMBOLS} kinds of characters apart")
        self._nodes: list[_Node] = []
        self._numbers: dict[_Node, int] = {}
        self._can_be_empty: list[bool] = []
        self._derived: dict[tuple[int, int], int] = {}
        self._masks: dict[Ranges, int] = {}
        self._add(("chars", 0), False)
        self._add(("empty",), True)
        self._any_char = self._add(("chars", (1 << len(self._symbols)) - 1), False)
        self._all = self.repeat(self._any_char, 0, None)

    def automaton(self, language: int) -> Automaton:
        def step(state: int, symbol: int) -> int | None:
            return self._derive(state, symbol) or None

        return explored(
            self._symbols, language, step, self._can_be_empty.__getitem__, MAX_DERIVED_STATES
        )

    def searched(self, tree: Tree) -> int:
        """The texts in which `tree` matches somewhere."""
        if isinstance(tree, Alternatives):
            return self.either(self.searched(item) for item in tree.items)
        if _begins_with_anchor(tree):
            return self._followed(tree, self._all, True)
        if not has_context(tree):
            return self.chain(self._all, self._followed(tree, self._all, False))
        later = self._followed(tree, self._all, False)
        found = self.chain(self._any_char, self.chain(self._all, later))
        return self.either([self._followed(tree, self._all, True), found])

    def _followed(self, tree: Tree, rest: int, is_at_begin: bool | None) -> int:
        """The texts that `tree` matches the beginning of, and that go on with one of `rest`.

        is_at_begin: the text begins here; None: maybe.
        """
        match tree:
            case Chain(items):
                begins = [is_at_begin]
                for item in items:
                    begins.append(_begins_after(begins[-1], item))
                for item, is_at in reversed(list(zip(items, begins, strict=False))):
                    rest = self._followed(item, rest, is_at)
                return rest
            case Alternatives(items):
                return self.either(self._followed(item, rest, is_at_begin) for item in items)
            case Anchor(is_end):
                return self._anchored(is_end, rest, is_at_begin)
            case LookAhead(item, is_negative):
                ahead = self._followed(item, self._all, False)
                return self.both([self.complement(ahead) if is_negative else ahead, rest])
            case Repeat(item, low, 1) if has_context(item):
                once = self._followed(item, rest, is_at_begin)
                return once if low else self.either([once, rest])
        return self.chain(self._plain(tree), rest)

    def _anchored(self, is_end: bool, rest: int, is_at_begin: bool | None) -> int:
        if is_end:
            return EMPTY_TEXT if self._can_be_empty[rest] else NOTHING
        if is_at_begin is None:
            raise UnsupportedRegexError("has ^ in its middle")
        return rest if is_at_begin else NOTHING

    def _plain(self, tree: Tree) -> int:
        match tree:
            case Chars(ranges):
                return self._add(("chars", self._mask(ranges)), False)
            case Chain(items):
                language = EMPTY_TEXT
                for item in reversed(items):
                    language = self.chain(self._plain(item), language)
                return language
            case Alternatives(items):
                return self.either(self._plain(item) for item in items)
            case Repeat(item, low, high):
                return self.repeat(self._plain(item), low, high)
        raise UnsupportedRegexError("repeats what has anchors or look-ahead in it")

    def _mask(self, ranges: Ranges) -> int:
        if ranges not in self._masks:
            self._masks[ranges] = sum(
                1 << i
                for i, symbol in enumerate(self._symbols)
                if any(low <= symbol[0][0] <= high for low, high in ranges)
            )
        return self._masks[ranges]

    def _add(self, node: _Node, can_be_empty: bool) -> int:
        number = self._numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
            self._can_be_empty.append(can_be_empty)
        return number

    def chain(self, first: int, second: int) -> int:
        if NOTHING in (first, second):
            return NOTHING
        if EMPTY_TEXT in (first, second):
            return second if first == EMPTY_TEXT else first
        node = self._nodes[first]
        if node[0] == "chain":
            return self.chain(node[1], self.chain(node[2], second))
        can_be_empty = self._can_be_empty[first] and self._can_be_empty[second]
        return self._add(("chain", first, second), can_be_empty)

    def either(self, languages: Iterable[int]) -> int:
        found = self._flat("either", languages) - {NOTHING}
        if self._all in found:
            return self._all
        if len(found) <= 1:
            return found.pop() if found else NOTHING
        can_be_empty = any(self._can_be_empty[one] for one in found)
        return self._add(("either", *sorted(found)), can_be_empty)

    def both(self, languages: Iterable[int]) -> int:
        found = self._flat("both", languages) - {self._all}
        if NOTHING in found:
            return NOTHING
        if len(found) <= 1:
            return found.pop() if found else self._all
        can_be_empty = all(self._can_be_empty[one] for one in found)
        return self._add(("both", *sorted(found)), can_be_empty)

    def _flat(self, kind: str, languages: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for one in languages:
            node = self._nodes[one]
            found.update(node[1:] if node[0] == kind else (one,))
        return found

    def complement(self, language: int) -> int:
        if language in (NOTHING, self._all):
            return self._all if language == NOTHING else NOTHING
        node = self._nodes[language]
        if node[0] == "not":
            return int(node[1])
        return self._add(("not", language), not self._can_be_empty[language])

    def repeat(self, language: int, low: int, high: int | None) -> int:
        if high == 0 or language == EMPTY_TEXT:
            return EMPTY_TEXT
        if language == NOTHING:
            return EMPTY_TEXT if low == 0 else NOTHING
        if low == high == 1:
            return language
        can_be_empty = low == 0 or self._can_be_empty[language]
        return self._add(("repeat", language, low, high), can_be_empty)

    def _derive(self, language: int, symbol: int) -> int:
        """What may follow after this character."""
        key = (language, symbol)
        if key not in self._derived:
            self._derived[key] = self._new_derivative(self._nodes[language], symbol)
        return self._derived[key]

    def _new_derivative(self, node: _Node, symbol: int) -> int:
        match node:
            case ("chars", mask):
                derivative = EMPTY_TEXT if mask >> symbol & 1 else NOTHING
            case ("chain", first, second):
                derivative = self.chain(self._derive(first, symbol), second)
                if self._can_be_empty[first]:
                    derivative = self.either([derivative, self._derive(second, symbol)])
            case ("either", *languages):
                derivative = self.either([self._derive(one, symbol) for one in languages])
            case ("both", *languages):
                derivative = self.both([self._derive(one, symbol) for one in languages])
            case ("not", one):
                derivative = self.complement(self._derive(one, symbol))
            case ("repeat", one, low, high):
                rest = self.repeat(one, max(low - 1, 0), None if high is None else high - 1)
                derivative = self.chain(self._derive(one, symbol), rest)
            case _:
                derivative = NOTHING
        return derivative


def _begins_after(is_at_begin: bool | None, item: Tree) -> bool | None:
    """Whether the text begins behind `item` still; None: maybe."""
    least, most = length_bounds(item)
    if least > 0 or is_at_begin is False:
        return False
    return is_at_begin if most == 0 else None


def _begins_with_anchor(tree: Tree) -> bool:
    if isinstance(tree, Chain):
        return bool(tree.items) and _begins_with_anchor(tree.items[0])
    if isinstance(tree, Alternatives):
        return all(_begins_with_anchor(item) for item in tree.items)
    return isinstance(tree, Anchor) and not tree.is_end


def _add_cuts(tree: Tree, cuts: set[int]) -> None:
    match tree:
        case Chars(ranges):
            for low, high in ranges:
                cuts.update((low, high + 1))
        case Chain(items) | Alternatives(items):
            for item in items:
                _add_cuts(item, cuts)
        case Repeat(item) | LookAhead(item):
            _add_cuts(item, cuts)


def _classes(tree: Tree, found: set[Ranges]) -> None:
    match tree:
        case Chars(ranges):
            found.add(ranges)
        case Chain(items) | Alternatives(items):
            for item in items:
                _classes(item, found)
        case Repeat(item) | LookAhead(item):
            _classes(item, found)


def _symbols(spans: list[tuple[int, int]], trees: Sequence[Tree]) -> list[list[tuple[int, int]]]:
    """Spans that no class tells apart are one symbol."""
    classes: set[Ranges] = set()
    for tree in trees:
        _classes(tree, classes)
    ordered = list(classes)
    groups: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
    for low, high in spans:
        where = tuple(any(a <= low <= b for a, b in ranges) for ranges in ordered)
        groups.setdefault(where, []).append((low, high))
    return list(groups.values())
