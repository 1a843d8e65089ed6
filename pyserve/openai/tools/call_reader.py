"""Parses tool calls in one of the formats, incrementally."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, is_json, read_string, read_value
from pyserve.openai.tools.loose_values import PYTHON_QUOTES, LooseReader
from pyserve.openai.tools.parts import CallArguments, CallBegin, Piece
from pyserve.openai.tools.tagged_values import Containers, TaggedReader, Texts
from pyserve.openai.tools.text_reader import MalformedError, Steps, TextReader

_ARGUMENTS_KEYS = ("arguments", "parameters", "args")  # that models write for each other
_NAME = re.compile(r"[A-Za-z0-9_.-]*")


class CallReader:
    """Reads runs of tool calls and gives their pieces to `emit`. One thread.

    texts, containers: as of `AnswerStyle`. has_name: a call has been given of what is read.
    bare_begin: as of its format.
    """

    def __init__(
        self,
        reader: TextReader,
        layout: CallFormat,
        texts: Texts,
        containers: Containers,
        emit: Callable[[Piece], None],
    ) -> None:
        self.has_name = False
        self.bare_begin = layout.bare_begin
        self._is_draft = False
        self._reader = reader
        self._layout = layout
        self._emit = emit
        self._tagged = TaggedReader(reader, layout, texts, containers, self._add)

    def read_run(self, *, is_draft: bool = False) -> Steps[None]:
        """Reads a run of calls, after its trigger. Raises MalformedError.

        is_draft: all of it stays recorded.
        """
        layout, reader = self._layout, self._reader
        read = {
            "object": self._read_object,
            "keyed": self._read_keyed,
            "named": self._read_named,
            "tagged": self._read_tagged,
            "elements": self._read_tagged,
            "pythonic": self._read_pythonic,
            "quoted": self._read_quoted,
        }[layout.kind]
        self.has_name = False
        self._is_draft = is_draft
        if layout.kind == "object" and (yield from self._opens_otherwise()):
            yield from self._read_objects()
            return
        yield from reader.expect(layout.before)
        while True:
            yield from read()
            if layout.between is None:
                if layout.kind == "object" and layout.after and (yield from self._goes_on()):
                    continue
                yield from reader.expect(layout.after)
                return
            if (yield from reader.one_of([layout.between, layout.after])) == layout.after:
                return
            self.has_name = False
            if not is_draft:
                reader.begin_record("")

    def _opens_otherwise(self) -> Steps[bool]:
        """Whether JSON begins a run, but not as the format has it: with or without a list."""
        before = "".join(self._layout.before.split())
        if (yield from self._reader.comes(before + "{")):
            return False
        if before and (yield from self._reader.comes(before)) and not before.endswith("["):
            return False
        yield from self._reader.skip_space()
        return self._reader.rest[0] in "[{"

    def _read_objects(self) -> Steps[None]:
        """Calls in a list, or one without, up to what ends a run."""
        reader = self._reader
        if reader.rest[0] == "[":
            reader.take(1)
            yield from reader.skip_space()
        yield from self._read_object()
        while (yield from self._goes_on()):
            yield from self._read_object()
        if reader.rest[0] == "]":
            reader.take(1)
        yield from reader.expect(self._layout.after.lstrip("]} \n"))

    def _goes_on(self) -> Steps[bool]:
        """Whether another object stands before what ends the run; a comma is skipped."""
        reader = self._reader
        yield from reader.skip_space()
        if reader.rest[0] == ",":
            reader.take(1)
            yield from reader.skip_space()
        if reader.rest[0] != "{":
            return False
        self.has_name = False
        if not self._is_draft:
            reader.begin_record("")
        return True

    def skip_rest(self) -> Steps[None]:
        """Ends a call that was found to be malformed, and skips what is left of it."""
        self._tagged.close()
        end = self._layout.after.strip() or self._layout.arguments_end.strip()
        if end:
            yield from self._reader.until(end, lambda _: None)

    def _read_object(self) -> Steps[None]:
        reader = self._reader
        early: list[str] = []  # arguments that stand before the name
        has_arguments = is_inside = False
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
            if key == self._layout.name_key and not self.has_name:
                self._begin((yield from read_string(reader)))
            elif key in (self._layout.arguments_key, *_ARGUMENTS_KEYS) and not has_arguments:
                has_arguments = True
                yield from self._read_arguments(self._add if self.has_name else early.append)
            elif key == "function" and not self.has_name and reader.rest[0] == "{":
                is_inside = True
                yield from self._read_object()
            else:
                yield from read_value(reader, lambda _: None)
        if not self.has_name:
            raise MalformedError
        if not is_inside:
            self._add("".join(early) if has_arguments else "{}")

    def _read_arguments(self, emit: Callable[[str], None]) -> Steps[None]:
        """An object, or one that is written as a text."""
        reader = self._reader
        if (yield from reader.peek()) != '"':
            yield from read_value(reader, emit)
            return
        parts: list[str] = []
        yield from read_value(reader, parts.append)
        written = "".join(parts)
        inner = json.loads(written, strict=False) if is_json(written) else ""
        emit(inner if inner.startswith("{") and is_json(inner) else written)

    def _read_keyed(self) -> Steps[None]:
        reader = self._reader
        yield from reader.expect("{")
        yield from reader.skip_space()
        name = yield from read_string(reader)
        yield from reader.expect(":")
        yield from reader.skip_space()
        if reader.rest[0] != "{":
            raise MalformedError
        self._begin(name)
        yield from read_value(reader, self._add)
        yield from reader.expect("}")

    def _read_named(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect(self._layout.name_end)
        yield from self._reader.skip_space()
        if self._reader.rest[0] != "{":
            raise MalformedError
        self._begin(name)
        yield from read_value(self._reader, self._add)

    def _read_tagged(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect(self._layout.name_end)
        self._begin(name)
        yield from self._tagged.read_arguments(name)

    def _read_pythonic(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect("(")
        self._begin(name)
        values = LooseReader(self._reader, PYTHON_QUOTES, has_escapes=True)
        yield from values.read_pairs(")", "=", self._add)

    def _read_quoted(self) -> Steps[None]:
        name = yield from self._read_name()
        yield from self._reader.expect("{")
        self._begin(name)
        values = LooseReader(self._reader, (self._layout.quote, '"'), has_escapes=False)
        yield from values.read_pairs("}", ":", self._add)

    def _read_name(self) -> Steps[str]:
        yield from self._reader.skip_space()
        while True:
            found = _NAME.match(self._reader.rest)
            n_chars = 0 if found is None else found.end()
            if not 0 < n_chars <= MAX_NAME_CHARS:
                raise MalformedError
            if n_chars < len(self._reader.rest):
                return self._reader.take(n_chars)
            yield from self._reader.more()

    def _begin(self, name: str) -> None:
        if not name:
            raise MalformedError
        self.has_name = True
        self._emit(CallBegin(name))

    def _add(self, text: str) -> None:
        if text:
            self._emit(CallArguments(text))
