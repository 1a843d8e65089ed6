"""JSON that stays one line for every reader."""

from __future__ import annotations

from typing import Any

import msgspec

# What Python's str.splitlines, and so httpx's iter_lines, takes for the end of a line although JSON
# lets it stand in a string.
LINE_ENDS = frozenset("\x85\u2028\u2029")
ESCAPES = [(character.encode(), b"\\u%04x" % ord(character)) for character in LINE_ENDS]


def json_line(content: Any) -> bytes:
    """JSON without any character that ends a line, for streams and files of lines."""
    data = msgspec.json.encode(content)
    if data.isascii():
        return data
    for end, escape in ESCAPES:
        data = data.replace(end, escape)
    return data


def ends_lines(text: str) -> bool:
    """Whether `json_line` writes `text` differently from other JSON."""
    return not text.isascii() and not LINE_ENDS.isdisjoint(text)
