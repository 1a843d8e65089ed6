"""An answer as the model writes it becomes thoughts, text and calls, as it comes.

  <think> thoughts </think> text <tool_call> {"name": "f", "arguments": {...}} </tool_call>

Cutting the input elsewhere never changes what comes out. What looks like a call and is none is
text.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import msgspec

from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, read_string, read_value
from pyserve.openai.tools.reader import (
    SPACE,
    EndedError,
    MalformedError,
    Steps,
    TextReader,
    held_chars,
)

PYTHON_TAG = "<|python_tag|>"


class Thinking(msgspec.Struct, frozen=True):
    """The tags around thoughts; is_open: the prompt ends with the first one."""

    begin: str
    end: str
    is_open: bool = False


class AnswerStyle(msgspec.Struct, frozen=True):
    """What an answer may consist of beside text."""

    thinking: Thinking | None = None
    calls: CallFormat | None = None

    @property
    def is_plain(self) -> bool:
        return self.thinking is None and self.calls is None


class Text(msgspec.Struct, frozen=True):
    """More of what is said to the user."""

    text: str


class Thought(msgspec.Struct, frozen=True):
    """More of what the model thinks."""

    text: str


class CallBegin(msgspec.Struct, frozen=True):
    """A call; its arguments follow."""

    name: str


class CallArguments(msgspec.Struct, frozen=True):
    """More of the arguments of the last call, as JSON."""

    text: str


Piece = Text | Thought | CallBegin | CallArguments


class MessageReader:
    """Reads one answer. One thread. is_thinking: the last text read is inside of thoughts."""

    def __init__(self, style: AnswerStyle) -> None:
        self.is_thinking = style.thinking is not None and style.thinking.is_open
        self._style = style
        self._reader = TextReader()
        self._pieces: list[Piece] = []
        self._held = ""  # white space that is said only if text follows
        self._n_calls = 0
        self._has_name = False  # of the call that is being read
        self._has_thought = False
        self._steps: Generator[None, None, None] = self._read()

    def feed(self, text: str) -> list[Piece]:
        """What `text` adds; maybe nothing yet."""
        self._reader.rest += text
        return self._go_on()

    def close(self) -> list[Piece]:
        """What was held back; the answer has ended. REQUIRES: it is called once."""
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
        if thinking is None or not (thinking.is_open or (yield from self._begins_with(thinking))):
            return
        self.is_thinking = True
        yield from self._read_until(thinking.end, self._think)
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

    def _read_until(self, tag: str, emit: Callable[[str], None]) -> Steps[None]:
        """Give everything before `tag` to `emit`, and skip it."""
        reader = self._reader
        while True:
            at = reader.rest.find(tag)
            if at >= 0:
                emit(reader.take(at))
                reader.take(len(tag))
                return
            emit(reader.take(len(reader.rest) - held_chars(reader.rest, tag)))
            yield from reader.more()

    def _read_answer(self) -> Steps[None]:
        calls = self._style.calls
        while calls is not None:
            if calls.trigger:
                yield from self._read_until(calls.trigger, self._say)
            elif self._n_calls or not (yield from self._begins_with_call()):
                break
            self._reader.begin_record(calls.trigger)
            try:
                yield from self._read_run(calls)
            except (MalformedError, EndedError) as error:
                if not self._has_name:
                    self._say(self._reader.recorded)
                elif isinstance(error, EndedError):
                    self._reader.rest = ""  # a part of what ends the call
                if isinstance(error, EndedError):
                    raise
                if not calls.trigger:
                    break
        while True:
            self._say(self._reader.take(len(self._reader.rest)))
            yield from self._reader.more()

    def _begins_with_call(self) -> Steps[bool]:
        """Whether what comes next may be a call, in a format without a trigger."""
        while True:
            seen = self._reader.rest.lstrip(SPACE).removeprefix(PYTHON_TAG)
            if seen.startswith("{"):
                self._reader.rest = seen
                return True
            if seen and not PYTHON_TAG.startswith(seen):
                return False
            yield from self._reader.more()

    def _read_run(self, calls: CallFormat) -> Steps[None]:
        reader = self._reader
        self._has_name = False
        yield from reader.expect(calls.before)
        while True:
            yield from (
                self._read_object(calls) if calls.kind == "object" else self._read_named(calls)
            )
            if calls.between is None:
                yield from reader.expect(calls.after)
                return
            if (yield from reader.one_of([calls.between, calls.after])) == calls.after:
                return
            self._has_name = False
            reader.begin_record("")

    def _read_object(self, calls: CallFormat) -> Steps[None]:
        reader = self._reader
        early: list[str] = []  # arguments that stand before the name
        has_arguments = False
        yield from reader.expect("{")
        while True:
            yield from reader.skip_space()
            if reader.rest[0] in "},":
                if reader.take(1) == "}":
                    break
                continue
            key = yield from read_string(reader)
            yield from reader.expect(":")
            yield from reader.skip_space()
            if key == "name" and not self._has_name:
                self._begin_call((yield from read_string(reader)))
            elif key == calls.arguments_key and not has_arguments:
                has_arguments = True
                yield from read_value(reader, self._add if self._has_name else early.append)
            else:
                yield from read_value(reader, lambda _: None)
        if not self._has_name:
            raise MalformedError
        self._add("".join(early) if has_arguments else "{}")

    def _read_named(self, calls: CallFormat) -> Steps[None]:
        reader = self._reader
        sign, *_ = calls.name_end.split()
        while sign not in reader.rest:
            if len(reader.rest) > MAX_NAME_CHARS:
                raise MalformedError
            yield from reader.more()
        name = reader.take(reader.rest.index(sign)).strip(SPACE)
        yield from reader.expect(calls.name_end)
        yield from reader.skip_space()
        if reader.rest[0] != "{":
            raise MalformedError
        self._begin_call(name)
        yield from read_value(reader, self._add)

    def _begin_call(self, name: str) -> None:
        if not name:
            raise MalformedError
        self._held = ""
        self._has_name = True
        self._n_calls += 1
        self._pieces.append(CallBegin(name))

    def _add(self, text: str) -> None:
        if text:
            self._pieces.append(CallArguments(text))
