"""Parses a model's output, as it streams, into reasoning, text and tool calls.

  <think> reasoning </think> text <tool_call> {"name": "f", "arguments": {...}} </tool_call>

The output does not depend on where the input is cut. What looks like a call and is none is text,
without what can be nothing but a mark.
"""

from __future__ import annotations

from pyserve.openai.tools.answer_reader import AnswerReader
from pyserve.openai.tools.call_reader import CallReader
from pyserve.openai.tools.formats import control_marks
from pyserve.openai.tools.parts import AnswerStyle, Thinking
from pyserve.openai.tools.text_reader import SPACE, EndedError, MalformedError, Steps

PYTHON_TAG = "<|python_tag|>"


class MessageReader(AnswerReader):
    """Reads an answer that is thoughts, text and calls, told apart by tags. One thread."""

    def __init__(self, style: AnswerStyle) -> None:
        super().__init__(style)
        self._calls: CallReader | None = None
        self._trigger = ""
        if style.calls is not None:
            self._calls = CallReader(
                self._reader, style.calls, style.texts, style.containers, self._put_call
            )
            self._trigger = style.calls.trigger
        signs = [*style.marks]
        if self._trigger:
            signs.append(self._trigger)
        if style.thinking is not None and style.thinking.is_repeated:
            signs.append(style.thinking.begin)
        self._signs = tuple(dict.fromkeys(signs))

    def _read(self) -> Steps[None]:
        thinking = self._style.thinking
        if thinking is not None:
            yield from self._read_first_thoughts(thinking)
        if self._calls is not None and not self._trigger:
            yield from self._read_bare_calls(self._calls)
        while True:
            sign = yield from self._reader.until_any(self._signs, self._say)
            if thinking is not None and thinking.is_repeated and sign == thinking.begin:
                yield from self._read_thoughts(thinking)
            elif sign == self._trigger and self._calls is not None:
                yield from self._read_run(self._calls)
            elif not self._has_text:
                self._held = ""  # white space before the mark of the text

    def _read_first_thoughts(self, thinking: Thinking) -> Steps[None]:
        has_tag = yield from self._begins_with(thinking.begin)
        if has_tag or thinking.is_open:
            yield from self._read_thoughts(thinking)
        elif (yield from self._begins_with(thinking.end)):
            yield from self._reader.skip_space()

    def _read_thoughts(self, thinking: Thinking) -> Steps[None]:
        """Thoughts up to their end; a call ends them, too, where it cannot be meant as text."""
        self.is_thinking = True
        self._held = ""
        ends = (thinking.end, *control_marks(self._trigger))
        while True:
            sign = yield from self._reader.until_any((*ends, *self._style.marks), self._think)
            if sign in ends:
                break
        self._held = ""
        self.is_thinking = False
        if sign != thinking.end:
            self._reader.rest = sign + self._reader.rest
            return
        yield from self._reader.skip_space()

    def _begins_with(self, tag: str) -> Steps[bool]:
        """Skip the tag if it comes next."""
        while True:
            seen = self._reader.rest.lstrip(SPACE)
            if seen.startswith(tag):
                self._reader.rest = seen[len(tag) :]
                return True
            if not tag.startswith(seen):
                return False
            yield from self._reader.more()

    def _read_run(self, calls: CallReader) -> Steps[bool]:
        """A run of calls after its trigger. Returns whether it was one."""
        reader = self._reader
        reader.begin_record(self._trigger)
        try:
            yield from calls.read_run()
        except (MalformedError, EndedError) as error:
            is_cut = isinstance(error, EndedError)
            if is_cut and (calls.has_name or self._style.has_sure_calls):
                reader.rest = ""  # a part of a call, or of what ends it
            elif not calls.has_name:
                self._take_back(reader.recorded)
            if is_cut:
                raise
            return False
        return True

    def _take_back(self, text: str) -> None:
        """What was no call is read again as text, but for its trigger."""
        if self._trigger and text.startswith(self._trigger):
            text = text[len(self._trigger) :]
            self._say(self._without_marks(self._trigger))
        self._reader.rest = text + self._reader.rest

    def _read_bare_calls(self, calls: CallReader) -> Steps[None]:
        """An answer that is nothing but one call, in a format without a trigger."""
        if (yield from self._begins_with_call()):
            yield from self._read_run(calls)

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
