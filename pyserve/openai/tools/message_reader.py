"""Parses a model's output, as it streams, into reasoning, text and tool calls.

  <think> reasoning </think> text <tool_call> {"name": "f", "arguments": {...}} </tool_call>

The output does not depend on where the input is cut. What looks like a call and is none is text.
"""

from __future__ import annotations

from collections.abc import Generator

from pyserve.openai.tools.call_reader import CallReader
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.parts import AnswerStyle, CallBegin, Piece, Text, Thinking, Thought
from pyserve.openai.tools.text_reader import SPACE, EndedError, MalformedError, Steps, TextReader

PYTHON_TAG = "<|python_tag|>"


class MessageReader:
    """Reads one answer. One thread. is_thinking: the last text read is inside of reasoning."""

    def __init__(self, style: AnswerStyle) -> None:
        self.is_thinking = style.thinking is not None and style.thinking.is_open
        self._style = style
        self._reader = TextReader()
        self._pieces: list[Piece] = []
        self._held = ""  # white space that is given out only if text follows
        self._n_calls = 0
        self._has_thought = False
        self._steps: Generator[None, None, None] = self._read()

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` adds; maybe none yet."""
        self._reader.rest += text
        return self._go_on()

    def close(self) -> list[Piece]:
        """Ends the answer: the pieces that were held back. REQUIRES: it is called once."""
        self._reader.is_closed = True
        return self._go_on()

    def _go_on(self) -> list[Piece]:
        next(self._steps, None)
        pieces, self._pieces = self._pieces, []
        return pieces

    def _read(self) -> Steps[None]:
        try:
            yield from self._read_thoughts()
            yield from self._read_answer()
        except EndedError:
            emit = self._think if self.is_thinking else self._say
            emit(self._reader.take(len(self._reader.rest)))
        if self._held and not (self.is_thinking or self._n_calls):
            self._pieces.append(Text(self._held))

    def _say(self, text: str) -> None:
        self._put(Text, text)

    def _think(self, text: str) -> None:
        self._put(Thought, text if self._has_thought else text.lstrip(SPACE))
        self._has_thought = self._has_thought or bool(text.strip(SPACE))

    def _put(self, kind: type[Text | Thought], text: str) -> None:
        text = self._held + text
        ready = text.rstrip(SPACE)
        self._held = text[len(ready) :]
        if ready:
            self._pieces.append(kind(ready))

    def _read_thoughts(self) -> Steps[None]:
        thinking = self._style.thinking
        if thinking is None:
            return
        if not ((yield from self._begins_with(thinking)) or thinking.is_open):
            return
        self.is_thinking = True
        yield from self._reader.until(thinking.end, self._think)
        self._held = ""
        self.is_thinking = False
        yield from self._reader.skip_space()

    def _begins_with(self, thinking: Thinking) -> Steps[bool]:
        """Skip the first tag if it comes next."""
        while True:
            seen = self._reader.rest.lstrip(SPACE)
            if seen.startswith(thinking.begin):
                self._reader.rest = seen[len(thinking.begin) :]
                return True
            if not thinking.begin.startswith(seen):
                return False
            yield from self._reader.more()

    def _read_answer(self) -> Steps[None]:
        if self._style.calls is not None:
            yield from self._read_calls(self._style.calls)
        while True:
            self._say(self._reader.take(len(self._reader.rest)))
            yield from self._reader.more()

    def _read_calls(self, calls: CallFormat) -> Steps[None]:
        """Text and calls, as long as there may be calls."""
        reader = CallReader(self._reader, calls, self._style.texts, self._put_call)
        while True:
            if calls.trigger:
                yield from self._reader.until(calls.trigger, self._say)
            elif self._n_calls or not (yield from self._begins_with_call()):
                return
            self._reader.begin_record(calls.trigger)
            try:
                yield from reader.read_run()
            except (MalformedError, EndedError) as error:
                if not reader.has_name:
                    self._say(self._reader.recorded)
                elif isinstance(error, EndedError):
                    self._reader.rest = ""  # a part of what ends the call
                if isinstance(error, EndedError):
                    raise
                if not calls.trigger:
                    return

    def _begins_with_call(self) -> Steps[bool]:
        """Whether the next text may be a call, in a format without a trigger."""
        while True:
            seen = self._reader.rest.lstrip(SPACE).removeprefix(PYTHON_TAG)
            if seen.startswith("{"):
                self._reader.rest = seen
                return True
            if seen and not PYTHON_TAG.startswith(seen):
                return False
            yield from self._reader.more()

    def _put_call(self, piece: Piece) -> None:
        if isinstance(piece, CallBegin):
            self._held = ""
            self._n_calls += 1
        self._pieces.append(piece)
