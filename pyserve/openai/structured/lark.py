"""Lark's grammars to GBNF. Terminals are found where the rules want them, without a lexer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyserve.openai.structured.lark_reader import (
    Choice,
    Definition,
    LarkError,
    LarkGrammar,
    Many,
    Name,
    Node,
    Series,
    Text,
    is_terminal,
    parsed_lark,
)
from pyserve.openai.structured.regex import written_tree
from pyserve.openai.structured.regex_tree import Tree, UnsupportedRegexError, length_bounds
from pyserve.openai.structured.rules import Ranges, Rules, any_of, repeated

START = "start"


def lark_expression(text: str, rules: Rules, char: Callable[[Ranges], str]) -> str:
    """The expression for what the rule `start` of a grammar describes. Raises LarkError.

    char: writes one character of a set.
    """
    grammar = parsed_lark(text)
    if START not in grammar.definitions:
        raise LarkError("there is no rule `start`", 1, 1)
    _check_names(grammar)
    grammar = _without_left_recursion(grammar)
    return _Writer(grammar, rules, char).start()


def _check_names(grammar: LarkGrammar) -> None:
    for name, definition in grammar.definitions.items():
        for used in _names(definition.body):
            if used.name not in grammar.definitions:
                raise LarkError(f"{used.name} is not defined", *used.place)
            if is_terminal(name) and not is_terminal(used.name):
                raise LarkError(f"the terminal {name} uses a rule", *used.place)
    for ignored in grammar.ignored:
        for used in _names(ignored):
            if used.name not in grammar.definitions or not is_terminal(used.name):
                raise LarkError(f"{used.name} is no terminal", *used.place)


def _names(node: Node) -> Iterator[Name]:
    match node:
        case Name():
            yield node
        case Many(item):
            yield from _names(item)
        case Series(items) | Choice(items):
            for item in items:
                yield from _names(item)


def _without_left_recursion(grammar: LarkGrammar) -> LarkGrammar:
    """`a: a x | y` becomes `a: y x*`. Raises LarkError where rules begin with each other."""
    definitions = {
        name: Definition(_looped(name, one), one.place) for name, one in grammar.definitions.items()
    }
    empty = _Emptiness(definitions).names()
    begun: dict[str, bool] = {}  # whether all that a rule begins with was looked at

    def visit(name: str) -> None:
        begun[name] = False
        for first in _first_names(definitions[name].body, empty):
            if begun.get(first) is False:
                raise LarkError(f"{first} begins with itself", *definitions[first].place)
            if first not in begun:
                visit(first)
        begun[name] = True

    try:
        for name in definitions:
            if name not in begun:
                visit(name)
    except RecursionError:
        raise LarkError("too many rules begin with each other", 1, 1) from None
    return LarkGrammar(definitions, grammar.ignored)


def _looped(name: str, definition: Definition) -> Node:
    body = definition.body
    choices = body.items if isinstance(body, Choice) else (body,)
    series = [one.items if isinstance(one, Series) else (one,) for one in choices]
    recursive = [items for items in series if items and _is_name(items[0], name)]
    if not recursive:
        return body
    others = [Series(items) for items in series if not items or not _is_name(items[0], name)]
    if not others:
        raise LarkError(f"{name} never ends", *definition.place)
    more = Many(Choice(tuple(Series(items[1:]) for items in recursive)), 0, None)
    return Series((Choice(tuple(others)), more))


def _is_name(node: Node, name: str) -> bool:
    return isinstance(node, Name) and node.name == name


class _Part:
    """Can be empty when `n_missing` of its items can; `whole` is what it is an item or body of."""

    __slots__ = ("n_missing", "whole")

    def __init__(self, n_missing: int, whole: _Part | str) -> None:
        self.n_missing = n_missing
        self.whole = whole


class _Emptiness:
    """Finds the rules and terminals that may be empty, looking at each part of them once."""

    def __init__(self, definitions: dict[str, Definition]) -> None:
        self._waiting: dict[str, list[_Part]] = {name: [] for name in definitions}
        self._told: list[_Part] = []  # those of which one more item can be empty
        for name, definition in definitions.items():
            self._watch(definition.body, _Part(1, name))

    def names(self) -> set[str]:
        """Their names."""
        empty: set[str] = set()
        while self._told:
            part = self._told.pop()
            part.n_missing -= 1
            if part.n_missing:
                continue
            if isinstance(part.whole, str):
                empty.add(part.whole)
                self._told += self._waiting[part.whole]
            else:
                self._told.append(part.whole)
        return empty

    def _watch(self, node: Node, part: _Part) -> None:
        """Have `part` told when `node` can be empty."""
        match node:
            case Name(name):
                self._waiting[name].append(part)
            case Many(item, low) if low:
                self._watch(item, part)
            case Series(items) | Choice(items) if items:
                inner = _Part(len(items) if isinstance(node, Series) else 1, part)
                for item in items:
                    self._watch(item, inner)
            case _ if _can_be_empty(node, set()):
                self._told.append(part)


def _can_be_empty(node: Node, empty: set[str]) -> bool:
    match node:
        case Name(name):
            return name in empty
        case Text(tree):
            return length_bounds(tree)[0] == 0
        case Many(item, low):
            return low == 0 or _can_be_empty(item, empty)
        case Series(items):
            return all(_can_be_empty(item, empty) for item in items)
    return any(_can_be_empty(item, empty) for item in node.items)


def _first_names(node: Node, empty: set[str]) -> Iterator[str]:
    """The names that stand before any character."""
    match node:
        case Name(name):
            yield name
        case Many(item):
            yield from _first_names(item, empty)
        case Choice(items):
            for item in items:
                yield from _first_names(item, empty)
        case Series(items):
            for item in items:
                yield from _first_names(item, empty)
                if not _can_be_empty(item, empty):
                    return


class _Writer:
    """Writes the rules of one grammar."""

    def __init__(self, grammar: LarkGrammar, rules: Rules, char: Callable[[Ranges], str]) -> None:
        self._grammar = grammar
        self._rules = rules
        self._char = char
        self._written: dict[str, str] = {}
        self._waiting: list[str] = []  # named, but not yet defined
        ignored = [self._expression(node, is_token=True) for node in grammar.ignored]
        self._gap = rules.add(f"{any_of(ignored)}*") if ignored else ""

    def start(self) -> str:
        root = self._named(START)
        while self._waiting:
            name = self._waiting.pop()
            body = self._grammar.definitions[name].body
            expression = self._expression(body, is_token=is_terminal(name))
            self._rules.define(self._written[name], expression)
        return f"{self._gap} {root}"

    def _named(self, name: str) -> str:
        if name not in self._written:
            self._written[name] = self._rules.reserve()
            self._waiting.append(name)
        return self._written[name]

    def _text(self, tree: Tree) -> str:
        try:
            return any_of([written_tree(tree, self._char)])
        except UnsupportedRegexError as error:
            raise LarkError(f"an expression {error}", 1, 1) from None

    def _expression(self, node: Node, *, is_token: bool) -> str:
        """is_token: nothing is ignored inside."""
        match node:
            case Name(name):
                expression = self._named(name)
                is_word = is_terminal(name)
            case Text(tree):
                expression = self._text(tree)
                is_word = True
            case Many(item, low, high):
                return repeated(self._expression(item, is_token=is_token), low, high)
            case Series(items):
                parts = [self._expression(item, is_token=is_token) for item in items]
                return " ".join(parts) or '""'
            case Choice(items):
                return any_of(self._expression(item, is_token=is_token) for item in items)
        return f"{expression} {self._gap}" if is_word and not is_token else expression
