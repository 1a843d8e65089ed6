"""What grammars match: without recursion as Python's regular expressions, else step by step."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_Stack: TypeAlias = tuple[int, "_Stack"] | None

_PART = re.compile(
    r'"(?P<literal>(?:\\.|[^"\\])*)"|(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<name>[A-Za-z0-9_-]+)'
    r"|(?P<sign>\{[0-9]+,?[0-9]*\}|[|()*+?])|\s+"
)


def as_regex(grammar: str) -> re.Pattern[str]:
    """What the rule `root` of a GBNF text matches. REQUIRES: no rule leads to itself."""
    lines = (line.partition(" ::= ") for line in grammar.splitlines() if line)
    bodies = {name: body for name, _, body in lines}

    def written(name: str) -> str:
        return f"(?:{''.join(map(shown, _PART.finditer(bodies[name])))})"

    def shown(part: re.Match[str]) -> str:
        if part["literal"] is not None:
            return f"(?:{re.escape(_unescaped(part['literal']))})"
        if part["name"]:
            return written(part["name"])
        return part["set"] or part["sign"] or ""

    return re.compile(written("root"))


def _unescaped(text: str) -> str:
    return re.sub(
        r"\\(U[0-9A-F]{8}|.)",
        lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _ESCAPES[found[1]],
        text,
    )


class Acceptor:
    """Follows a grammar character by character, with all its readings. One thread."""

    def __init__(self, grammar: str) -> None:
        self._nodes: list[tuple[Any, ...]] = []
        self._ids: dict[tuple[Any, ...], int] = {}
        self._states: frozenset[_Stack] = frozenset()
        lines = (line.partition(" ::= ") for line in grammar.splitlines() if line)
        self._rules = {name: self._parsed(body) for name, _, body in lines}
        self._closed: dict[_Stack, frozenset[_Stack]] = {}

    def accepts(self, text: str) -> bool:
        """Whether all of `text` is one that the grammar describes."""
        return self.n_followed(text) == len(text) and None in self._states

    def n_followed(self, text: str) -> int:
        """How many characters of `text` the grammar allows, one after the other."""
        self._states = self._closure((self._rules["root"], None))
        for n, char in enumerate(text):
            following = {
                after
                for state in self._states
                if state is not None
                for after in self._after(state, char)
            }
            if not following:
                return n
            self._states = frozenset[_Stack]().union(*map(self._closure, following))
        return len(text)

    def _after(self, state: tuple[int, _Stack], char: str) -> list[_Stack]:
        node, rest = state
        kind, *parts = self._nodes[node]
        if kind == "set":
            return [rest] if parts[0].fullmatch(char) else []
        text: str = parts[0]
        if text[0] != char:
            return []
        return [(self._new("literal", text[1:]), rest) if len(text) > 1 else rest]

    def _closure(self, stack: _Stack) -> frozenset[_Stack]:
        """The states without a step that reads nothing; None: nothing more has to come."""
        if stack in self._closed:
            return self._closed[stack]
        seen: set[_Stack] = set()
        found: set[_Stack] = set()
        todo = [stack]
        while todo:
            state = todo.pop()
            if state in seen:
                continue
            seen.add(state)
            steps = None if state is None else self._steps(state)
            if steps is None:
                found.add(state)
            else:
                todo += steps
        self._closed[stack] = frozenset(found)
        return self._closed[stack]

    def _steps(self, state: tuple[int, _Stack]) -> list[_Stack] | None:
        node, rest = state
        kind, *parts = self._nodes[node]
        if kind == "rule":
            return [(self._rules[parts[0]], rest)]
        if kind == "any":
            return [(one, rest) for one in parts]
        if kind == "all":
            for one in reversed(parts):
                rest = (one, rest)
            return [rest]
        if kind == "repeat":
            inner, low, high = parts
            if high == 0:
                return [rest]
            again = self._new("repeat", inner, max(low - 1, 0), None if high is None else high - 1)
            return [(inner, (again, rest)), *([] if low else [rest])]
        return [rest] if kind == "literal" and not parts[0] else None

    def _new(self, *node: Any) -> int:
        if node not in self._ids:
            self._ids[node] = len(self._nodes)
            self._nodes.append(node)
        return self._ids[node]

    def _parsed(self, body: str) -> int:
        parts = [part for part in _PART.finditer(body) if part.group().strip()]
        node, n_read = self._alternatives(parts, 0)
        assert n_read == len(parts), body
        return node

    def _alternatives(self, parts: list[re.Match[str]], at: int) -> tuple[int, int]:
        found: list[int] = []
        sequence: list[int] = []
        while at < len(parts) and parts[at]["sign"] != ")":
            part, sign = parts[at], parts[at]["sign"]
            at += 1
            if sign == "|":
                found.append(self._new("all", *sequence))
                sequence = []
            elif sign == "(":
                inner, at = self._alternatives(parts, at)
                sequence.append(inner)
                at += 1
            elif sign:
                sequence.append(self._new("repeat", sequence.pop(), *_bounds(sign)))
            elif part["literal"] is not None:
                sequence.append(self._new("literal", _unescaped(part["literal"])))
            elif part["set"]:
                sequence.append(self._new("set", re.compile(part["set"], re.DOTALL)))
            else:
                sequence.append(self._new("rule", part["name"]))
        return self._new("any", *found, self._new("all", *sequence)), at


def _bounds(sign: str) -> tuple[int, int | None]:
    if sign in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
    low, comma, high = sign.strip("{}").partition(",")
    return int(low), (int(high) if high else None) if comma else int(low)
