"""GBNF for free text up to a tag."""

from __future__ import annotations

import re

from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, char_class, literal
from pyserve.openai.tools.formats import HOLE

ID = "[a-zA-Z0-9_-]{1,24}"  # what models write into holes


def loose(rules: JsonRules, text: str) -> str:
    """`text` with more or less white space where it has some, and anything short in its holes."""
    parts = re.split(rf"(\s+|{HOLE})", text)
    shown = []
    for part in filter(None, parts):
        if part == HOLE:
            shown.append(ID)
        else:
            shown.append(rules.space if part.isspace() else literal(part))
    return " ".join(shown) or '""'


def text_until(
    rules: JsonRules, tag: str, after: str, *, can_end: bool, other_end: str = ""
) -> list[str]:
    """Rules for a text that ends with the first `tag`, which `after` follows.

    One rule for each number of characters of `tag` that the text so far ends with; the first one
    is where a text begins. can_end: the text may also end without the tag, or with `other_end`, an
    expression that may stand in it as well.
    """
    names = [rules.reserve() for _ in tag]
    ends = ['""'] if can_end else [other_end] if other_end else []
    for n_seen, name in enumerate(names):
        reached = {char: _overlap(tag, tag[:n_seen] + char) for char in dict.fromkeys(tag)}
        known = {char: n for char, n in reached.items() if n}
        others = char_class([(ord(char), ord(char)) for char in known], is_negated=True)
        branches = [
            f"{literal(char)} {names[n] if n < len(tag) else after}" for char, n in known.items()
        ]
        rules.define(name, any_of([*ends, *branches, f"{others} {names[0]}"]))
    return names


def _overlap(tag: str, text: str) -> int:
    """Most characters at the end of `text` that `tag` begins with."""
    return next(n for n in range(len(text), -1, -1) if text.endswith(tag[:n]) and n <= len(tag))
