"""Parts of a parsed answer: text, reasoning, tool calls and their arguments."""

from __future__ import annotations

import msgspec

from pyserve.models.profile import CallProfile
from pyserve.openai.tools.formats import CallFormat, Channels
from pyserve.openai.tools.value_types import ValueTypes


class Thinking(msgspec.Struct, frozen=True):
    """The tags around reasoning; is_open: the prompt ends with the first one.

    is_repeated: it may come anywhere in an answer, else only at its begin.
    """

    begin: str
    end: str
    is_open: bool = False
    is_repeated: bool = False


class AnswerStyle(msgspec.Struct, frozen=True):
    """The parts that an answer may have beside text.

    types: of values, by function and parameter, for formats that do not tell them. parameters:
    the names of those of each offered function, in order; {}: the functions are not known.
    found: how the model's configuration finds calls and text, once the answer is whole.
    marks: texts that are dropped from the answer. text_tags: dropped where they are around it, as
    its first and last words. channels: it is made of messages.
    is_continued: the prompt ends inside of the text. hides_thoughts: they are not given out.
    has_sure_calls: what begins as a call is one, also where it is cut off. is_call: it is nothing
    but calls, and thoughts before them.
    """

    thinking: Thinking | None = None
    calls: CallFormat | None = None
    types: ValueTypes = {}
    parameters: dict[str, tuple[str, ...]] = {}
    found: CallProfile | None = None
    marks: tuple[str, ...] = ()
    text_tags: tuple[str, str] | None = None
    channels: Channels | None = None
    is_continued: bool = False
    hides_thoughts: bool = False
    has_sure_calls: bool = False
    is_call: bool = False

    @property
    def is_plain(self) -> bool:
        has_parts = self.thinking is not None or self.calls is not None or self.found is not None
        return not (has_parts or self.marks or self.text_tags or self.channels)


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
