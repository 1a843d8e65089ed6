"""What readers of answers share: they are fed text, and give out pieces of the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator

from pyserve.openai.tools.formats import control_marks
from pyserve.openai.tools.parts import AnswerStyle, CallBegin, Piece, Text, Thought
from pyserve.openai.tools.text_reader import (
    SPACE,
    EndedError,
    Steps,
    TextReader,
    held_chars,
)

MIN_CUT_MARK = 3  # characters: what is shorter is more often text


class AnswerReader(ABC):
    """Reads one answer. One thread. is_thinking: the last text read is inside of reasoning."""

    def __init__(self, style: AnswerStyle) -> None:
        self.is_thinking = style.thinking is not None and style.thinking.is_open
        self._style = style
        self._reader = TextReader()
        self._pieces: list[Piece] = []
        self._held = ""  # white space that is given out only if text follows
        self._n_calls = 0
        self._has_thought = False
        self._has_text = False
        self._steps: Generator[None, None, None] = self._read_all()

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

    def _read_all(self) -> Steps[None]:
        try:
            yield from self._read()
        except EndedError:
            (self._think if self.is_thinking else self._say)(self._rest_at_end())
        if self._held and not (self.is_thinking or self._n_calls or self._style.is_call):
            self._pieces.append(Text(self._held))

    @abstractmethod
    def _read(self) -> Steps[None]:
        """Reads the whole answer; ends by EndedError, which leaves text to be given out."""

    def _rest_at_end(self) -> str:
        """The text that is left, without the begin of a mark that was cut off."""
        rest = self._without_marks(self._reader.take(len(self._reader.rest)))
        for mark in self._marks():
            if (n_chars := held_chars(rest, mark)) >= MIN_CUT_MARK:
                rest = rest[:-n_chars]
        return rest

    def _marks(self) -> tuple[str, ...]:
        """All that is never text."""
        style = self._style
        trigger = style.calls.trigger if style.calls else ""
        tags = (style.thinking.begin, style.thinking.end) if style.thinking else ()
        channels = style.channels
        breaks = (*channels.opens, *channels.ends, channels.message) if channels else ()
        return (*style.marks, *control_marks(trigger, *tags, *breaks))

    def _say(self, text: str) -> None:
        if self._style.is_call:
            return  # a part of a call that was cut off
        self._put(Text, text)
        self._has_text = self._has_text or bool(text.strip(SPACE))

    def _think(self, text: str) -> None:
        if self._style.hides_thoughts:
            return
        self._put(Thought, text if self._has_thought else text.lstrip(SPACE))
        self._has_thought = self._has_thought or bool(text.strip(SPACE))

    def _put(self, kind: type[Text | Thought], text: str) -> None:
        text = self._held + text
        ready = text.rstrip(SPACE)
        self._held = text[len(ready) :]
        if ready:
            self._pieces.append(kind(ready))

    def _put_call(self, piece: Piece) -> None:
        if isinstance(piece, CallBegin):
            self._held = ""
            self._n_calls += 1
        self._pieces.append(piece)

    def _without_marks(self, text: str) -> str:
        """What is left of a text that was no call."""
        for mark in self._marks():
            text = text.replace(mark, "")
        return text
