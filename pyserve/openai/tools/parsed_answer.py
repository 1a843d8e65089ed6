"""Accumulates a parsed answer: reasoning, text, tool calls."""

from __future__ import annotations

from collections.abc import Sequence

from pyserve.engine.protocol import Delta
from pyserve.openai.ids import new_call_id
from pyserve.openai.tools.answer_reader import AnswerReader
from pyserve.openai.tools.channel_reader import ChannelReader
from pyserve.openai.tools.message_reader import MessageReader
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
    Thought,
)
from pyserve.openai.tools.regex_reader import FoundReader


class Call:
    """A tool call; its arguments are the JSON so far."""

    def __init__(self, name: str) -> None:
        self.id = new_call_id()
        self.name = name
        self.arguments = ""


def reader_of(style: AnswerStyle) -> AnswerReader | FoundReader | None:
    """The reader for answers of this style; None: they are nothing but text."""
    if style.is_plain:
        return None
    if style.found is not None:
        return FoundReader(style, style.found)
    return MessageReader(style) if style.channels is None else ChannelReader(style)


class ReadChoice:
    """Accumulates the pieces that a `MessageReader` gives. One thread.

    n_reasoning_tokens: those of its tokens that are reasoning, with their tags.
    """

    def __init__(self, style: AnswerStyle) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[Call] = []
        self.n_reasoning_tokens = 0
        self._reader = reader_of(style)

    def push(self, delta: Delta) -> list[Piece]:
        """Adds a delta, and returns the pieces in it."""
        if self._reader is None:
            pieces: list[Piece] = [Text(delta.text)] if delta.text else []
        else:
            pieces = self._read_on(self._reader, delta)
        for piece in pieces:
            self._add(piece)
        return pieces

    def push_all(self, deltas: Sequence[Delta]) -> ReadChoice:
        for delta in deltas:
            self.push(delta)
        return self

    def _read_on(self, reader: AnswerReader | FoundReader, delta: Delta) -> list[Piece]:
        was_thinking = reader.is_thinking
        pieces = reader.feed(delta.text)
        has_thought = any(isinstance(piece, Thought) for piece in pieces)
        if was_thinking or has_thought or reader.is_thinking:
            self.n_reasoning_tokens += delta.n_tokens
        if delta.finish is not None:
            pieces += reader.close()
        return pieces

    def _add(self, piece: Piece) -> None:
        match piece:
            case Text(text):
                self.text += text
            case Thought(text):
                self.reasoning += text
            case CallBegin(name):
                self.calls.append(Call(name))
            case CallArguments(text):
                self.calls[-1].arguments += text
