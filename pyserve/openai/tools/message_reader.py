"""Parses a model's output, as it streams, into reasoning, text and tool calls.

  <think> reasoning </think> text <tool_call> {"name": "f", "arguments": {...}} </tool_call>

The output does not depend on where the input is cut. What looks like a call and is none is text,
without what can be nothing but a mark.
"""

from __future__ import annotations

from pyserve.openai.tools.answer_reader import AnswerReader
from pyserve.openai.tools.call_reader import CallReader
from pyserve.openai.tools.formats import control_marks
from pyserve.openai.tools.object_calls import FENCE
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
        self._loose: tuple[str, ...] = ()  # the same where an offered function's name follows
        self._others: dict[str, str] = {}  # the same, and what ends such calls
        self._opening = ""  # of a call that is an object, without its white space
        self._line = ""  # the end of the text so far
        self._is_in_code = False
        self._owes_end = False  # a call has ended thoughts, whose end may follow
        self._text_end = ""  # the tag that may end the text
        self._after_end = ""  # that tag, and what follows it: text only if there is more
        if style.calls is not None:
            self._calls = CallReader(self._reader, style.calls, style, self._put_call)
            self._trigger = style.calls.trigger
            self._begin = style.calls.begin
            self._loose = style.calls.loose_begins if style.parameters else ()
            self._others = style.calls.other_marks if style.parameters else {}
            self._opening = style.calls.opening if style.parameters else ""
        signs = [*style.marks, *self._loose, *self._others]
        signs += [sign for sign in (self._trigger, self._begin) if sign]
        if style.thinking is not None and style.thinking.is_repeated:
            signs.append(style.thinking.begin)
        self._signs = tuple(dict.fromkeys(signs))
        self._call_signs = (self._trigger, self._begin, *self._loose, *self._others)

    def _read(self) -> Steps[None]:
        thinking = self._style.thinking
        if thinking is not None:
            yield from self._read_first_thoughts(thinking)
        yield from self._read_text_begin()
        if self._calls is not None and not self._trigger:
            yield from self._read_bare_calls(self._calls)
        elif self._calls is not None and self._opening:
            yield from self._read_opening_call(self._calls)
        while True:
            yield from self._read_to_sign(thinking)

    def _read_to_sign(self, thinking: Thinking | None) -> Steps[None]:
        """Text up to the next sign, and what that begins."""
        owed = (thinking.end,) if thinking is not None and self._owes_end else ()
        ends = (self._text_end,) if self._text_end else ()
        sign = yield from self._reader.until_any((*self._signs, *owed, *ends), self._say)
        if thinking is not None and thinking.is_repeated and sign == thinking.begin:
            yield from self._read_thoughts(thinking)
        elif sign in owed:
            self._owes_end = False
        elif sign in ends:
            self._after_end += self._held + sign
            self._held = ""
        elif sign in (*self._loose, *self._others) and (
            self._is_in_code or not (yield from self._may_call(sign))
        ):
            self._say(sign)
        elif sign in self._call_signs and self._calls is not None:
            yield from self._read_run(self._calls, sign)
        elif not self._has_text:
            self._held = ""  # white space before the mark of the text

    def _read_first_thoughts(self, thinking: Thinking) -> Steps[None]:
        has_tag = yield from self._begins_with(thinking.begin)
        name = _name_of(thinking.begin)
        if name and not has_tag:  # models leave out the mark, which may end their prompt
            has_tag = yield from self._begins_with(f"{name}\n")
        if has_tag or thinking.is_open:
            yield from self._read_thoughts(thinking)
            while not self._owes_end and (yield from self._thinks_again(thinking)):
                yield from self._read_thoughts(thinking)
        elif (yield from self._begins_with(thinking.end)):
            yield from self._reader.skip_space()

    def _read_text_begin(self) -> Steps[None]:
        """Skip the tag that begins the text, whose partner may end it."""
        tags = self._style.text_tags
        if tags is None or self._style.is_continued or self._owes_end:
            return
        if (yield from self._begins_with(tags[0])):
            self._text_end = tags[1]
            yield from self._reader.skip_space()

    def _read_thoughts(self, thinking: Thinking) -> Steps[None]:
        """Thoughts up to their end; a call ends them, too, where it cannot be meant as text."""
        self.is_thinking = True
        self._held = ""
        ends = (thinking.end, *control_marks(self._trigger, self._begin))
        while True:
            may_call = self._calls is not None and self._n_drafts < MAX_DRAFTS
            drafts = (self._trigger, *self._loose) if may_call else ()
            drafts = tuple(sign for sign in drafts if sign not in ends)
            signs = tuple(filter(None, (*ends, *drafts, *self._style.marks)))
            sign = yield from self._reader.until_any(signs, self._think)
            if sign in ends:
                break
            if sign in drafts and self._calls is not None:
                if sign in self._loose and not (yield from self._may_call(sign)):
                    self._think(sign)
                    continue
                yield from self._read_draft(self._calls, thinking, sign)
        self._held = ""
        self.is_thinking = False
        self._owes_end = sign != thinking.end
        if self._owes_end:
            self._reader.rest = sign + self._reader.rest
            return
        yield from self._reader.skip_space()

    def _thinks_again(self, thinking: Thinking) -> Steps[bool]:
        """Skip the begin of more thoughts right after others."""
        if self._trigger.startswith(thinking.begin):
            return False
        return (yield from self._begins_with(thinking.begin))

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

    def _read_draft(self, calls: CallReader, thinking: Thinking, sign: str) -> Steps[None]:
        """Calls in thoughts, which are meant if the answer ends with them, else thoughts, too."""
        reader = self._reader
        reader.begin_record("")
        drafted: list[Piece] = []
        self._drafted = drafted
        is_bare = sign in self._loose
        if is_bare:
            reader.rest = sign + reader.rest
        is_meant = yield from self._ends_with_calls(calls, thinking, is_bare=is_bare)
        self._drafted = None
        if not is_meant:
            self._n_drafts += 1
            written = reader.recorded + reader.rest
            self._think(self._without_marks(sign))
            reader.rest = written.removeprefix(sign) if is_bare else written
            return
        self.is_thinking = False
        for piece in drafted:
            self._put_call(piece)
        reader.rest = ""
        raise EndedError

    def _ends_with_calls(
        self, calls: CallReader, thinking: Thinking, *, is_bare: bool
    ) -> Steps[bool]:
        """Whether there are nothing but whole calls up to the end of the answer."""
        reader = self._reader
        try:
            while True:
                for _ in calls.read_run(is_draft=True, is_bare=is_bare):
                    if thinking.end in reader.recorded + reader.rest:
                        return False
                    yield
                if thinking.end in reader.recorded:
                    return False
                is_bare = not (yield from reader.skip(self._trigger))
                if is_bare and not (yield from self._comes_loose()):
                    return False
        except MalformedError:
            return False
        except EndedError:
            return calls.is_whole

    def _comes_loose(self) -> Steps[bool]:
        for begin in self._loose:
            if (yield from self._reader.comes(f"{begin}{self._after_loose(begin)}")):
                return True
        return False

    def _may_call(self, sign: str) -> Steps[bool]:
        """Whether what follows a sign without the trigger may be a call."""
        reader = self._reader
        openings = [f"{sign}{self._after_loose(sign)}"]
        if sign in self._others:
            openings = [f"{sign}[{self._opening}", f"{sign}{self._opening}"]
        reader.rest = sign + reader.rest  # it is text where nothing follows it
        is_call = False
        for opening in openings:
            is_call = is_call or (yield from reader.comes(opening))
        reader.rest = reader.rest[len(sign) :]
        return is_call

    def _after_loose(self, begin: str) -> str:
        """What must follow the begin of a call in a format without a trigger."""
        return "" if self._trigger else self._opening.removeprefix(begin)

    def _put_call(self, piece: Piece) -> None:
        if self._drafted is None:
            self._after_end = ""
            super()._put_call(piece)
        else:
            self._drafted.append(piece)

    def _read_run(self, calls: CallReader, sign: str) -> Steps[None]:
        """A run of calls after the sign of it, which is text if it is none."""
        reader = self._reader
        is_other = sign in self._others
        if sign == self._trigger or is_other:
            reader.begin_record(sign)
        else:
            reader.rest = sign + reader.rest  # the call has it in `before`
            reader.begin_record("")
        is_bare = sign in self._loose or is_other or (not sign and bool(self._trigger))
        calls.has_name = False
        try:
            if not is_bare:
                calls = yield from calls.suited()
            yield from calls.read_run(is_bare=is_bare)
            if is_other and self._others[sign]:
                yield from reader.skip(self._others[sign])
        except (MalformedError, EndedError) as error:
            is_cut = isinstance(error, EndedError)
            is_sure = self._style.has_sure_calls and not is_bare
            if is_cut and (calls.has_name or is_sure):
                reader.rest = ""  # a part of a call, or of what ends it
            elif not calls.has_name:
                self._take_back(reader.recorded, sign)
            if is_cut:
                raise
            if calls.has_name:
                yield from calls.skip_rest()

    def _say(self, text: str) -> None:
        if self._after_end:
            text = self._after_end + text
            is_more = bool(text.removeprefix(self._after_end).strip(SPACE))
            self._after_end = "" if is_more else text
            if not is_more:
                return
        super()._say(text)
        if self._loose:
            n_fences = (self._line + text).count(FENCE)
            self._is_in_code ^= n_fences % 2 == 1
            self._line = text[-2:] if n_fences else (self._line + text)[-2:]

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

    def _read_opening_call(self, calls: CallReader) -> Steps[None]:
        """A call that begins the answer without its trigger."""
        if (yield from self._reader.comes(self._opening)):
            yield from self._reader.skip_space()
            yield from self._read_run(calls, "")

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


def _name_of(begin: str) -> str:
    """The word after the mark that begins thoughts, such as `<|channel>thought`; "": none."""
    marks = control_marks(begin)
    word = begin.removeprefix(marks[0]) if marks else ""
    return word if word.isalpha() else ""
