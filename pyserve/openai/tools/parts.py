"""Parts of a parsed answer: text, reasoning, tool calls and their arguments."""

from __future__ import annotations

import msgspec

from pyserve.models.profile import CallProfile
from pyserve.openai.tools.formats import CallFormat


class Thinking(msgspec.Struct, frozen=True):
    """The tags around reasoning; is_open: the prompt ends with the first one."""

    begin: str
    end: str
    is_open: bool = False


class AnswerStyle(msgspec.Struct, frozen=True):
    """The parts that an answer may have beside text.

    texts: function and parameter where values are texts, for formats that do not quote them.
    found: how the model's configuration finds calls and text, once the answer is whole.
    """

    thinking: Thinking | None = None
    calls: CallFormat | None = None
    texts: frozenset[tuple[str, str]] = frozenset()
    found: CallProfile | None = None

    @property
    def is_plain(self) -> bool:
        return self.thinking is None and self.calls is None and self.found is None


class Text(msgspec.Struct, frozen=True):
    """More text of the answer itself."""

    text: str


class Thought(msgspec.Struct, frozen=True):
    """More reasoning."""

    text: str


class CallBegin(msgspec.Struct, frozen=True):
    """The begin of a tool call; its arguments follow."""

    name: str


class CallArguments(msgspec.Struct, frozen=True):
    """More arguments of the last tool call, as JSON."""

    text: str


Piece = Text | Thought | CallBegin | CallArguments
