"""Parses a model's output, as it streams, into reasoning, text and tool calls.

  <think> reasoning </think> text <tool_call> {"name": "f", "arguments": {...}} </tool_call>

The output does not depend on where the input is cut. What looks like a call and is none is text,
without what can be nothing but a mark.
"""

from __future__ import annotations

from pyserve.openai.tools.answer_reader import AnswerReader
from pyserve.openai.tools.call_reader import CallReader
from pyserve.openai.tools.formats import control_marks
from pyserve.openai.tools.parts import AnswerStyle, Piece, Thinking
from pyserve.openai.tools.text_reader import SPACE, EndedError, MalformedError, Steps

PYTHON_TAG = "<|python_tag|>"
MAX_DRAFTS = 16  # calls in thoughts that are looked at


class MessageReader(AnswerReader):
    """Reads an answer that is thoughts, text and calls, told apart by tags. One thread."""

    def __init__(self, style: AnswerStyle) -> None:
        super().__init__(style)
        self._drafted: list[Piece] | None = None  # pieces of calls that may be thoughts
        self._n_drafts = 0
        self._calls: CallReader | None = None
        self._trigger = ""
        self._begin = ""  # of a call whose run has no trigger
        if style.calls is not None:
            self._calls = CallReader(
                self._reader, style.calls, style.texts, style.containers, self._put_call
            )
            self._trigger = style.calls.trigger
            self._begin = style.calls.begin
        signs = [*style.marks]
        signs += [sign for sign in (self._trigger, self._begin) if sign]
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
            elif sign in (self._trigger, self._begin) and self._calls is not None:
                yield from self._read_run(self._calls, sign)
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
        ends = (thinking.end, *control_marks(self._trigger, self._begin))
        while True:
            may_call = self._calls is not None and self._n_drafts < MAX_DRAFTS
            drafts = (self._trigger,) if may_call and self._trigger not in ends else ()
            signs = tuple(filter(None, (*ends, *drafts, *self._style.marks)))
            sign = yield from self._reader.until_any(signs, self._think)
            if sign in ends:
                break
            if sign in drafts and self._calls is not None:
                yield from self._read_draft(self._calls, thinking)
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

    def _read_draft(self, calls: CallReader, thinking: Thinking) -> Steps[None]:
        """Calls in thoughts, which are meant if the answer ends with them, else thoughts, too."""
        reader = self._reader
        reader.begin_record("")
        self._drafted = []
        is_whole = False
        try:
            while True:
                is_whole = False
                for _ in calls.read_run(is_draft=True):
                    if thinking.end in reader.recorded + reader.rest:
                        raise MalformedError
                    yield
                if thinking.end in reader.recorded:
                    raise MalformedError
                is_whole = True
                yield from reader.expect(self._trigger)
        except MalformedError:
            drafted = None
        except EndedError:
            drafted = self._drafted if is_whole else None
        self._drafted = None
        if drafted is None:
            self._n_drafts += 1
            self._think(self._without_marks(self._trigger))
            reader.rest = reader.recorded + reader.rest
            return
        self.is_thinking = False
        for piece in drafted:
            self._put_call(piece)
        reader.rest = ""
        raise EndedError

    def _put_call(self, piece: Piece) -> None:
        if self._drafted is None:
            super()._put_call(piece)
        else:
            self._drafted.append(piece)

    def _read_run(self, calls: CallReader, sign: str) -> Steps[None]:
        """A run of calls after the sign of it, which is text if it is none."""
        reader = self._reader
        if sign == self._trigger:
            reader.begin_record(sign)
        else:
            reader.rest = sign + reader.rest  # the call has it in `before`
            reader.begin_record("")
        try:
            yield from calls.read_run()
        except (MalformedError, EndedError) as error:
            is_cut = isinstance(error, EndedError)
            if is_cut and (calls.has_name or self._style.has_sure_calls):
                reader.rest = ""  # a part of a call, or of what ends it
            elif not calls.has_name:
                self._take_back(reader.recorded, sign)
            if is_cut:
                raise
            if calls.has_name:
                yield from calls.skip_rest()

    def _take_back(self, text: str, sign: str) -> None:
        """What was no call is read again as text, but for what began it."""
        text += self._reader.rest
        if sign and text.startswith(sign):
            text = text[len(sign) :]
            self._say(self._without_marks(sign))
        self._reader.rest = text

    def _read_bare_calls(self, calls: CallReader) -> Steps[None]:
        """An answer that is nothing but calls, in a format without a trigger."""
        if (yield from self._begins_with_call(calls.bare_begin)):
            yield from self._read_run(calls, self._trigger)

    def _begins_with_call(self, begin: str) -> Steps[bool]:
        """Whether the next text may be a call, in a format without a trigger."""
        while True:
            seen = self._reader.rest.lstrip(SPACE).removeprefix(PYTHON_TAG)
            if seen.startswith(begin):
                self._reader.rest = seen
                return True
            if seen and not PYTHON_TAG.startswith(seen):
                return False
            yield from self._reader.more()
