"""Parses answers that are messages with headers, as they stream.

  <|channel|>analysis<|message|> reasoning <|end|>
  <|start|>assistant<|channel|>final<|message|> text <|return|>
  <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{...}<|call|>

Headers are never given out, nor what stands between messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pyserve.openai.tools.answer_reader import AnswerReader
from pyserve.openai.tools.call_reader import CallReader
from pyserve.openai.tools.formats import Channels
from pyserve.openai.tools.json_values import read_value
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin
from pyserve.openai.tools.text_reader import SPACE, EndedError, MalformedError, Steps


class ChannelReader(AnswerReader):
    """Reads an answer in channels. One thread.

    Calls are read where functions are offered; where none are, what is meant for one is a thought.
    REQUIRES: the style has channels.
    """

    def __init__(self, style: AnswerStyle) -> None:
        assert style.channels is not None
        self._channels: Channels = style.channels
        super().__init__(style)
        opens, ends = self._channels.opens, self._channels.ends
        marks = self._channels.marks
        self._has_marks = bool(self._channels.message.strip())
        self._breaks = (*opens, *ends, *marks, *style.marks)
        if self._has_marks:
            self._breaks = (*self._breaks, self._channels.message)

    def _read(self) -> Steps[None]:
        if self._style.is_continued or not (yield from self._has_header()):
            yield from self._read_text()
        while True:
            yield from self._read_message((yield from self._read_header()))

    def _has_header(self) -> Steps[bool]:
        """Whether the answer begins in a header; text that a model writes without one is text."""
        starts = self._channels.starts
        while starts:
            seen = self._reader.rest.lstrip(SPACE)
            if any(seen.startswith(start.lstrip(SPACE)) for start in starts):
                return True
            if not any(start.lstrip(SPACE).startswith(seen) for start in starts):
                return False
            yield from self._reader.more()
        return True

    def _read_header(self) -> Steps[str]:
        """The text of the next header, without what else stands before it."""
        parts: list[str] = []
        try:
            yield from self._reader.until(self._channels.message, parts.append)
        except EndedError:
            text = "".join(parts) + self._reader.take(len(self._reader.rest))
            if not self._has_marks:
                self._say(text)
            raise
        header = "".join(parts)
        for end in self._channels.ends:
            header = header.rpartition(end)[2]
        return header

    def _read_message(self, header: str) -> Steps[None]:
        channels = self._channels
        call = channels.call and re.search(channels.call, header)
        if channels.text and re.search(channels.text, header):
            yield from self._read_text()
        elif call and self._style.calls is None:
            yield from self._read_body(_drop)
        elif call and channels.has_calls_inside:
            yield from self._read_inner_calls()
        elif call:
            yield from self._read_call(call[1])
        elif channels.thought and re.search(channels.thought, header):
            yield from self._read_thoughts()
        else:
            if not self._has_marks:
                self._say(header + channels.message)
            yield from self._read_text()

    def _read_text(self) -> Steps[None]:
        yield from self._read_body(self._say)

    def _read_thoughts(self) -> Steps[None]:
        self._held = ""
        self.is_thinking = True
        emit = self._say if self._style.thinking is None else self._think
        yield from self._read_body(_drop if self._style.hides_thoughts else emit)
        self._held = ""
        self.is_thinking = False

    def _read_body(self, emit: Callable[[str], None]) -> Steps[None]:
        while True:
            try:
                mark = yield from self._reader.until_any(self._breaks, emit)
            except EndedError:
                emit(self._rest_at_end())
                raise
            if mark in (*self._channels.opens, *self._channels.ends):
                self._unread(mark)
                return

    def _unread(self, mark: str) -> None:
        """Leaves what begins a header where it belongs to it."""
        if mark in self._channels.opens and mark in self._channels.starts:
            self._reader.rest = mark + self._reader.rest

    def _read_call(self, name: str) -> Steps[None]:
        """A call whose arguments are an object; what follows them is dropped."""
        reader = self._reader
        try:
            yield from reader.skip_space()
            if reader.rest[0] == "{":
                self._put_call(CallBegin(name))
                yield from read_value(reader, self._add)
            elif (yield from self._ends()):
                self._put_call(CallBegin(name))
                self._add("{}")
        except EndedError:
            reader.rest = ""
            raise
        yield from self._read_body(_drop)

    def _ends(self) -> Steps[bool]:
        """Whether the message ends here."""
        for end in self._channels.ends:
            if (yield from self._reader.comes(end)):
                return True
        return False

    def _read_inner_calls(self) -> Steps[None]:
        layout, reader = self._style.calls, self._reader
        assert layout is not None
        calls = CallReader(reader, layout, self._style, self._put_call)
        signs = (layout.trigger, *self._breaks)
        while (sign := (yield from reader.until_any(signs, _drop))) == layout.trigger:
            reader.begin_record("")
            try:
                yield from calls.read_run()
            except MalformedError:
                continue
            except EndedError:
                reader.rest = ""
                raise
        self._unread(sign)

    def _add(self, text: str) -> None:
        if text:
            self._put_call(CallArguments(text))


def _drop(text: str) -> None:
    """Takes text that is shown nowhere."""
