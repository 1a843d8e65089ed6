"""Parses arguments that stand between tags, as texts or JSON, into JSON.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pyserve.openai.tools.formats import HOLE, ITEM, CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, read_value
from pyserve.openai.tools.parts import AnswerStyle
from pyserve.openai.tools.text_reader import (
    SPACE,
    EndedError,
    MalformedError,
    Steps,
    TextReader,
)
from pyserve.openai.tools.value_texts import CDATA, CDATA_END, as_json, quoted
from pyserve.openai.tools.value_types import OPTIONAL_TEXT, TEXT, UNKNOWN, Types

_TYPE = re.compile(rf'\s+\w+="{HOLE}"')
_NULLS = ("null", "None")
_ANY_TAG = re.compile(r"<[^<>]*>")
_TAG = re.compile(r"\s*<[^<>]*>")
_CLOSING = re.compile(r"</[^<>]*>")
_NO_KEY = re.compile(r"[\r\n<>]")  # the tag of the key has no end
_AROUND_KEYS = f"{SPACE}\"'"
_CONTAINERS = frozenset({"object", "array"})
MAX_DEPTH = 32
MAX_LINE_CHARS = 1000


class TaggedReader:
    """Reads the arguments of one call at a time, and gives them to `add` as JSON. One thread.

    style: says what values are.
    """

    def __init__(
        self,
        reader: TextReader,
        layout: CallFormat,
        style: AnswerStyle,
        add: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._layout = layout
        self._types = style.types
        self._before = ""  # what stands before the next key; "": no arguments are open
        self._is_in_value = False
        # What ends arguments, and what models leave out after it.
        self._arguments_end, self._arguments_rest = _first_tag(layout.arguments_end)
        closing = f"{layout.arguments_end}{layout.after}".strip()
        self._closing = _ANY_TAG.findall(closing)
        self._closing_text = f"\n{closing}" if len(self._closing) > 1 else ""
        self._n_own_ends = len(_ANY_TAG.findall(layout.arguments_end))
        self._key_signs = _signs(layout.key_end)
        # Closing tags that models write where none belongs.
        self._strays = tuple(
            tag
            for tag in dict.fromkeys(_CLOSING.findall(layout.key_end + layout.value_end))
            if layout.kind == "tagged" and tag != self._arguments_end.strip()
        )
        self._ends: tuple[str, ...] = ()
        self._parameters = style.parameters
        self._add = add

    def read_arguments(self, name: str, *, is_sure: bool) -> Steps[None]:
        """The arguments of the function `name`, up to their end. Raises MalformedError.

        An answer that ends between two of them ends their object. is_sure: it is a call also
        without any.
        """
        self._before = "{"
        self._is_in_value = False
        try:
            yield from self._read_members(name)
        except EndedError:
            if not self._is_in_value and (is_sure or self._before != "{"):
                self.close()
            raise

    def _read_members(self, name: str) -> Steps[None]:
        layout, reader = self._layout, self._reader
        if (yield from reader.comes("{")):  # all of them as one object
            self._before = ""
            self._is_in_value = True
            yield from read_value(reader, self._add)
            yield from reader.expect(layout.arguments_end)
            return
        given: set[str] = set()
        while (yield from self._goes_on()):
            key = yield from self._read_key()
            holes = yield from self._read_key_end()
            self._add(f"{self._before}{quoted(key)}: ")
            self._before = ", "
            given.add(key)
            self._ends = self._value_ends(name, given)
            self._is_in_value = True
            yield from self._read_member((name, key), holes)
            self._is_in_value = False
        self.close()
        yield from reader.skip(self._arguments_rest)

    def close(self) -> None:
        """Ends the object that has been begun."""
        if self._before:
            self._add("{}" if self._before == "{" else "}")
        self._before = ""

    def _goes_on(self) -> Steps[bool]:
        begin = self._layout.key_begin
        signs = (begin, self._arguments_end, *self._strays)
        while (sign := (yield from self._reader.one_of(signs))) in self._strays:
            continue
        return sign == begin

    def _read_member(self, path: tuple[str, ...], holes: list[str]) -> Steps[None]:
        layout, types = self._layout, self._types.get(path, UNKNOWN)
        is_text = types == TEXT
        if holes and layout.types:
            is_text = holes[0].strip() == layout.types.get("string")
        if layout.kind == "elements":
            try:
                value = yield from self._read_node(path, 0)
            except MalformedError:
                self._add("null")
                raise
            self._add(json.dumps(value, ensure_ascii=False))
        elif is_text or (types == OPTIONAL_TEXT and not (yield from self._is_null())):
            yield from self._read_text()
        else:
            parts: list[str] = []
            yield from self._until_end(parts.append)
            self._add(as_json("".join(parts), types))

    def _value_ends(self, name: str, given: set[str]) -> tuple[str, ...]:
        """What ends a value: its tag, or where that is left out another key, or all ends."""
        layout = self._layout
        ends = [layout.value_end]
        if HOLE not in layout.key_end:
            ends += [
                f"\n{layout.key_begin}{key}{layout.key_end}"
                for key in self._parameters.get(name, ())
                if key not in given
            ]
        if self._closing_text:
            ends.append(self._closing_text)
        return tuple(ends)

    def _until_end(self, emit: Callable[[str], None], *, has_breaks: bool = True) -> Steps[None]:
        """Give everything before the end of a value to `emit`, and skip its tag alone.

        has_breaks: a line break before the tag is none of the value.
        """
        reader = self._reader
        held = ""

        def add(text: str) -> None:
            nonlocal held
            text = held + text
            held = "\n" if text.endswith("\n") else ""
            if ready := text.removesuffix("\n"):
                emit(ready)

        signs = (*self._ends, *self._closing)
        while True:
            end = yield from reader.until_any(signs, add)
            if end in self._ends or (yield from self._is_closed(end)):
                break
            add(end)
        if end != self._layout.value_end:
            reader.unread(end)
        elif held and not has_breaks:
            emit(held)

    def _is_closed(self, tag: str) -> Steps[bool]:
        """Whether the other ends of a call follow this one, and then nothing or another call."""
        n_before = self._closing.index(tag) + 1
        wanted = [_bare("".join(self._closing[n_before:])) + _bare(self._layout.trigger)]
        if n_before == self._n_own_ends and (between := self._layout.between):
            wanted.append(_bare(between.partition(HOLE)[0]))
        while True:
            seen = _bare(self._reader.rest)
            if any(seen.startswith(text) for text in wanted):
                return True
            if self._reader.is_closed:
                return any(text.startswith(seen) for text in wanted)
            if not any(text.startswith(seen) for text in wanted):
                return False
            yield from self._reader.more()

    def _is_null(self) -> Steps[bool]:
        """Whether the value that comes next is none."""
        end = "".join(self._layout.value_end.split())
        for word in _NULLS:
            if (yield from self._reader.comes(word + end)):
                return True
        return False

    def _read_key(self) -> Steps[str]:
        key = yield from self._reader.short_text(*self._key_signs)
        key = key.strip(_AROUND_KEYS)
        if len(key) > MAX_NAME_CHARS or _NO_KEY.search(key):
            raise MalformedError
        return key

    def _read_key_end(self) -> Steps[list[str]]:
        """What is in its holes; [] where the type is left out."""
        reader, signs = self._reader, self._key_signs
        if len(signs) > 1:  # any of them twice, or left out before the last
            while (yield from reader.one_of(signs)) != signs[-1]:
                continue
            return []
        bare = _TYPE.sub("", self._layout.key_end)
        if bare != self._layout.key_end and (yield from reader.skip(bare)):
            return []
        return (yield from reader.expect(self._layout.key_end))

    def _read_text(self) -> Steps[None]:
        """A raw text, without line breaks at its ends if the format has them there."""
        layout, reader = self._layout, self._reader
        self._add('"')
        if layout.has_cdata and (yield from self._begins_with(CDATA)):
            yield from reader.until(CDATA_END, self._add_text)
            yield from reader.expect(layout.value_end)
        elif layout.has_line_breaks:
            yield from self._begins_with("\n")
            yield from self._until_end(self._add_text)
        elif not (yield from self._is_line()):
            yield from self._until_end(self._add_text, has_breaks=False)
        self._add('"')

    def _is_line(self) -> Steps[bool]:
        """Whether the text is a line between line breaks, which is read without them then."""
        reader = self._reader
        if (yield from reader.peek()) != "\n":
            return False
        while (end := reader.rest.find("\n", 1, MAX_LINE_CHARS)) < 0:
            if reader.is_closed or len(reader.rest) >= MAX_LINE_CHARS:
                return False
            yield from reader.more()
        reader.take(1)
        line = reader.take(end - 1)
        if self._layout.value_end not in line and (
            yield from self._begins_with(f"\n{self._layout.value_end}")
        ):
            self._add_text(line)
            return True
        reader.unread(f"\n{line}")
        return False

    def _add_text(self, text: str) -> None:
        self._add(quoted(text)[1:-1])

    def _begins_with(self, text: str) -> Steps[bool]:
        """Whether `text` comes next, which is skipped then."""
        reader = self._reader
        while not reader.rest.startswith(text):
            if not text.startswith(reader.rest):
                return False
            yield from reader.more()
        reader.take(len(text))
        return True

    def _read_node(self, path: tuple[str, ...], depth: int) -> Steps[Any]:
        """The value that stands up to the end of the element: its text, or its elements."""
        layout, reader = self._layout, self._reader
        end = f"{layout.value_end}{path[-1]}{layout.key_end}"
        members: list[tuple[str, Any]] = []
        texts: list[str] = []
        if depth > MAX_DEPTH:
            raise MalformedError
        types = self._types.get(path, UNKNOWN)
        is_text = types in (TEXT, OPTIONAL_TEXT)
        signs = (end,) if is_text else (end, layout.key_begin)
        while (yield from reader.until_any(signs, texts.append)) != end:
            inner = yield from self._read_key()
            yield from reader.expect(layout.key_end)
            members.append((inner, (yield from self._read_node((*path, inner), depth + 1))))
        if is_text:
            text = "".join(texts)
            is_null = types == OPTIONAL_TEXT and text.strip(SPACE) in _NULLS
            return None if is_null else text
        if not members:
            return _typed("".join(texts), types)
        is_list = all(inner == ITEM for inner, _ in members)
        if types & _CONTAINERS:
            is_list = "array" in types and (is_list or "object" not in types)
        return [value for _, value in members] if is_list else dict(members)


def _first_tag(text: str) -> tuple[str, str]:
    """The first tag, or all of `text` where it begins with none; and what follows."""
    found = _TAG.match(text)
    return (found[0], text[found.end() :]) if found else (text, "")


def _signs(key_end: str) -> tuple[str, ...]:
    """The tags that end a key, or what stands before the first hole."""
    if HOLE in key_end or _ANY_TAG.sub("", key_end).strip():
        return (key_end.split(maxsplit=1)[0].partition(HOLE)[0],)
    return tuple(_ANY_TAG.findall(key_end))


def _bare(text: str) -> str:
    return "".join(text.split())


def _typed(text: str, types: Types) -> Any:
    """What the text of an element looks like."""
    bare = text.strip(SPACE)
    if not bare and not types & (_CONTAINERS | {"null"}):
        return text or None
    found = json.loads(as_json(bare, types))
    return text if found == bare else found  # a text keeps the white space around it
