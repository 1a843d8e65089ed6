"""Reads the text of a function's only parameter out of its arguments as they are written."""

from __future__ import annotations

import json
import re

_HEAD = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*"')
_HEX = "[0-9a-fA-F]"
_HIGH = rf"\\u[dD][89abAB]{_HEX}{{2}}"
_LOW = rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
# Whole characters of a JSON string. Half of a pair of surrogates is whole when no half can follow.
_WHOLE = re.compile(
    rf'(?:[^"\\]|\\[^u]|{_HIGH}{_LOW}|(?!{_HIGH})\\u{_HEX}{{4}}'
    rf"|{_HIGH}(?=[^\\]|\\[^u]|(?!{_LOW})\\u{_HEX}{{4}}))*",
    re.DOTALL,
)


class StringArgument:
    """Decodes `{"parameter": "text"}` piece by piece. One thread.

    Arguments of another form are the text themselves, which is known at their end only.
    """

    def __init__(self) -> None:
        self._unread = ""
        self._has_begun = False
        self._has_ended = False

    def feed(self, piece: str) -> str:
        """The text in `piece`, and in what was held back before it."""
        if self._has_ended:
            return ""
        self._unread += piece
        if not self._has_begun:
            head = _HEAD.match(self._unread)
            if head is None:
                return ""
            self._has_begun = True
            self._unread = self._unread[head.end() :]
        whole = _WHOLE.match(self._unread)
        assert whole is not None
        self._unread = self._unread[whole.end() :]
        self._has_ended = self._unread.startswith('"')
        return _decoded(whole[0])

    def close(self) -> str:
        """What the end of the arguments adds to the text."""
        rest, self._unread = self._unread, ""
        return "" if self._has_ended else rest


def _decoded(raw: str) -> str:
    try:
        text: str = json.loads(f'"{raw}"', strict=False)
    except ValueError:  # an escape that JSON does not have
        return raw
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
