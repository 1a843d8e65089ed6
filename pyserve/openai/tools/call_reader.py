"""Parses tool calls in one of the formats, incrementally."""

from __future__ import annotations

import re
from collections.abc import Callable

from pyserve.openai.tools.formats import HOLE, CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, read_value
from pyserve.openai.tools.known_formats import siblings
from pyserve.openai.tools.loose_values import LooseReader
from pyserve.openai.tools.object_calls import ObjectReader
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin, Piece
from pyserve.openai.tools.tagged_values import TaggedReader
from pyserve.openai.tools.text_reader import MalformedError, Steps, TextReader

_SIGNS = ".:/"  # what may stand in names, and also after them
# Ids that are of the function's name and a number or other word, as models write them.
_NAMED_ID = re.compile(r"(?:functions[._:])?(.+?)(?::[^:]*|_\d+)?")
_TAG = re.compile(r"<[^<>]*>|\[/?[A-Z_]+\]")
_CLOSING = re.compile(r"</[^<>]*>")


class CallReader:
    """Reads runs of tool calls and gives their pieces to `emit`. One thread.

    style: says which functions are offered, and what their values are. has_name: a call has been
    given of what is read. is_whole: nothing of a call is left to be read. bare_begin: as of its
    format.
    """

    def __init__(
        self,
        reader: TextReader,
        layout: CallFormat,
        style: AnswerStyle,
        emit: Callable[[Piece], None],
    ) -> None:
        self.has_name = False
        self.is_whole = False
        self.bare_begin = layout.bare_begin
        self._is_draft = False
        self._is_bare = False
        self._name = ""  # of a call that is not given yet
        self._reader = reader
        self._layout = layout
        self._parameters = style.parameters
        self._emit = emit
        self._before, self._between = layout.before, layout.between
        if layout.has_named_ids:  # which models also write without their first word
            self._before = _to_last_mark(layout.before)
            self._between = layout.between and _to_last_mark(layout.between)
        signs = "".join(sign for sign in _SIGNS if not layout.name_end.startswith(sign))
        self._name_chars = re.compile(f"[{signs}A-Za-z0-9_-]*")
        self._style = style
        self._strays = tuple(dict.fromkeys(_CLOSING.findall(layout.arguments_end + layout.after)))
        self._tagged = TaggedReader(reader, layout, style, self._add)
        self._objects = ObjectReader(reader, layout, self._begin, self._add)

    def read_run(self, *, is_draft: bool = False, is_bare: bool = False) -> Steps[None]:
        """Reads a run of calls, after its trigger. Raises MalformedError.

        is_draft: all of it stays recorded. is_bare: there was no trigger, so that a call is one
        only if it is of an offered function.
        """
        self.has_name = False
        self.is_whole = False
        self._is_draft = is_draft
        self._is_bare = is_bare
        trigger = "" if is_bare else self._layout.trigger
        while trigger and (yield from self._reader.skip(trigger)):
            continue  # it is written twice
        if (yield from self._is_object()):
            yield from self._read_objects()
        else:
            yield from self._read_calls()
        while (yield from self._skips_stray()):
            continue

    def suited(self) -> Steps[CallReader]:
        """The reader of the run that comes next: of another form with this trigger, or this one."""
        others = siblings(self._layout) if self._parameters else ()
        if others:
            readers = [self._of(layout) for layout in others]
            readers = sorted((self, *readers), key=lambda one: len(one._begin_text), reverse=True)
            for one in readers:
                if (yield from one._comes()):
                    return one
        return self

    def _of(self, layout: CallFormat) -> CallReader:
        return CallReader(self._reader, layout, self._style, self._emit)

    @property
    def _begin_text(self) -> str:
        return "".join(self._layout.before.partition(HOLE)[0].split())

    def _comes(self) -> Steps[bool]:
        """Whether a call of an offered function in this form comes next."""
        layout, begin = self._layout, self._begin_text
        if layout.kind in ("object", "keyed"):
            return (yield from self._reader.comes(begin + "{"))
        after = {"pythonic": "(", "quoted": "{", "named": "{"}.get(layout.kind, layout.key_begin)
        ends = {layout.name_end.partition(HOLE)[0].strip() or after}
        if layout.kind == "named":
            ends.add(after)
        for text in (begin + name + end for name in self._parameters for end in sorted(ends)):
            if (yield from self._reader.comes(text)):
                return True
        return False

    def _skips_stray(self) -> Steps[bool]:
        """Skips what ends a run, written once more."""
        for tag in self._strays:
            if (yield from self._reader.skip(tag)):
                return True
        return False

    def _read_calls(self) -> Steps[None]:
        layout, reader = self._layout, self._reader
        read = {
            "object": self._read_object,
            "keyed": self._objects.read_keyed,
            "named": self._read_named,
            "tagged": self._read_tagged,
            "elements": self._read_tagged,
            "pythonic": self._read_pythonic,
            "quoted": self._read_quoted,
        }[layout.kind]
        if layout.kind != "pythonic" or (yield from reader.comes(layout.before)):
            yield from reader.expect(self._before)
        while True:
            yield from read()
            self.is_whole = True
            if self._between is None:
                can_go_on = layout.kind == "object" and bool(layout.after or not layout.trigger)
                if can_go_on and (yield from self._goes_on()):
                    continue
                yield from self._end(layout.after)
                return
            if not (yield from self._is_followed(self._between)):
                return
            self._next()

    def _is_followed(self, between: str) -> Steps[bool]:
        """Whether another call follows; else what ends the run is skipped, if it is there."""
        after = self._layout.after
        if after and (yield from self._reader.skip(after)):
            return False
        if between.strip():
            return (yield from self._reader.skip(between))
        return (yield from self._reader.comes("{")) or not (self._is_bare or after)

    def _end(self, after: str) -> Steps[None]:
        """Skips what ends a run, which one without a trigger may lack."""
        if self._is_bare:
            yield from self._reader.skip(after)
        else:
            yield from self._reader.expect(after)

    def _next(self) -> None:
        self.has_name = self.is_whole = False
        if not self._is_draft:
            self._reader.begin_record("")

    def _is_object(self) -> Steps[bool]:
        """Whether calls are JSON objects, but not as the format has it: in a list or in none."""
        layout, reader = self._layout, self._reader
        if layout.kind == "keyed":
            return False
        if layout.trigger and (yield from self._objects.skip_fence()):
            return True
        before = "".join(layout.before.split())
        if layout.kind == "object":
            if (yield from reader.comes(before + "{")):
                return False
            if before and (yield from reader.comes(before)) and not before.endswith("["):
                return False
        elif (yield from reader.comes("[")):
            return (yield from reader.comes("[{"))
        yield from reader.skip_space()
        return reader.rest[0] in "[{"

    def _read_objects(self) -> Steps[None]:
        """Calls in a list, or one without, up to what ends a run."""
        reader = self._reader
        yield from reader.skip("[")
        yield from self._read_object()
        while (yield from self._goes_on()):
            yield from self._read_object()
        yield from reader.skip("]")
        yield from self._objects.skip_fence()
        yield from self._end(self._run_end.lstrip("]} \n"))

    def _goes_on(self) -> Steps[bool]:
        """Whether another object stands before what ends the run; a comma is skipped."""
        reader = self._reader
        yield from reader.skip_space()
        if reader.rest[0] in ",;":
            reader.take(1)
            yield from reader.skip_space()
        if reader.rest[0] != "{":
            return False
        self._next()
        return True

    @property
    def _run_end(self) -> str:
        """What ends a run, whatever its calls are like."""
        ends = self._layout.arguments_end.strip()
        return self._layout.after.strip() or _TAG.sub("", ends, count=1).strip() or ends

    def skip_rest(self) -> Steps[None]:
        """Ends a call that was found to be malformed, and skips what is left of it."""
        self._tagged.close()
        if self._run_end:
            last = _TAG.findall(self._run_end) or [self._run_end]
            yield from self._reader.until(last[-1], lambda _: None)

    def _read_object(self) -> Steps[None]:
        yield from self._objects.read(is_strict=self._is_bare)
        self.is_whole = True

    def _read_named(self) -> Steps[None]:
        layout, reader = self._layout, self._reader
        if layout.has_named_ids:
            name = yield from self._read_named_id()
            yield from reader.expect(layout.name_end.rpartition(HOLE)[2])
        else:
            name = yield from self._read_name()
            yield from self._read_name_end()
        has_fence = yield from self._objects.skip_fence()
        yield from reader.skip_space()
        if reader.rest[0] != "{":
            raise MalformedError
        self._begin(name)
        yield from read_value(reader, self._add)
        if has_fence:
            yield from self._objects.skip_fence()

    def _read_name_end(self) -> Steps[None]:
        """What stands between name and arguments; marks alone may be left out, and so may ids."""
        name_end, reader = self._layout.name_end, self._reader
        _, hole, after_id = name_end.rpartition(HOLE)
        if hole and (yield from reader.skip(after_id)):
            return
        if self._layout.trigger and (yield from reader.comes("{")):
            return
        yield from reader.expect(name_end)

    def _read_named_id(self) -> Steps[str]:
        """The name in an id such as `functions.name:0`, up to the mark after it."""
        layout, reader = self._layout, self._reader
        mark = layout.name_end.rpartition(HOLE)[2].strip()
        written = (yield from reader.short_text(mark)).strip()
        offered = sorted(self._parameters, key=len, reverse=True)
        for name in offered:
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", written):
                return name
        found = _NAMED_ID.fullmatch(written)
        if found is None:
            raise MalformedError
        return found[1]

    def _read_tagged(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect(self._layout.name_end)
        self._begin(name)
        yield from self._tagged.read_arguments(name, is_sure=not self._is_bare)

    def _read_pythonic(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect("(")
        self._begin(name)
        names = self._parameters.get(name, ())
        yield from LooseReader(self._reader).read_pairs(")", self._add, names)

    def _read_quoted(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect("{")
        self._begin(name)
        values = LooseReader(self._reader, self._layout.quote)
        yield from values.read_pairs("}", self._add)

    def _read_name(self) -> Steps[str]:
        yield from self._reader.skip_space()
        while True:
            found = self._name_chars.match(self._reader.rest)
            n_chars = 0 if found is None else found.end()
            if not 0 < n_chars <= MAX_NAME_CHARS:
                raise MalformedError
            if n_chars < len(self._reader.rest):
                return self._reader.take(n_chars)
            yield from self._reader.more()

    def _begin(self, name: str) -> None:
        """Begins a call; without a trigger it is none before its arguments begin."""
        if not name or (self._is_bare and name not in self._parameters):
            raise MalformedError
        self._name = name
        if not self._is_bare:
            self._put_begin()

    def _put_begin(self) -> None:
        self.has_name = True
        self._emit(CallBegin(self._name))
        self._name = ""

    def _add(self, text: str) -> None:
        if text and self._name:
            self._put_begin()
        if text:
            self._emit(CallArguments(text))


def _to_last_mark(text: str) -> str:
    """`text` up to the last mark in it."""
    return text[: text.rfind(">") + 1]
