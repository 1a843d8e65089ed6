"""Grammars without recursion as Python's regular expressions, to ask what they match."""

from __future__ import annotations

import re

_PART = re.compile(
    r'"(?P<literal>(?:\\.|[^"\\])*)"|(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<name>[A-Za-z0-9_-]+(?![^{]*\}))'
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
        lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else found[1],
        text,
    )
