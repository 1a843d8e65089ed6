"""Parses arguments that stand between tags, as texts or JSON, into JSON.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

from pyserve.openai.tools.formats import HOLE, ITEM, CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, is_json, read_value
from pyserve.openai.tools.parts import AnswerStyle
from pyserve.openai.tools.text_reader import SPACE, MalformedError, Steps, TextReader

CDATA, CDATA_END = "<![CDATA[", "]]>"
_TYPE = re.compile(rf'\s+\w+="{HOLE}"')
_NULLS = ("null", "None")
_ANY_TAG = re.compile(r"<[^<>]*>")
_TAG = re.compile(r"\s*<[^<>]*>")
_NO_KEY = re.compile(r"[\r\n<>]")  # the tag of the key has no end
MAX_DEPTH = 32
MAX_LITERAL_CHARS = 100_000


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
        self._texts = style.texts
        self._optional = style.optional
        self._containers = style.containers
        self._before = ""  # what stands before the next key; "": no arguments are open
        # What ends arguments, and what models leave out after it.
        self._arguments_end, self._arguments_rest = _first_tag(layout.arguments_end)
        closing = f"{layout.arguments_end}{layout.after}".strip()
        self._closing = f"\n{closing}" if len(_ANY_TAG.findall(closing)) > 1 else ""
        self._ends: tuple[str, ...] = ()
        self._parameters = style.parameters
        self._add = add

    def read_arguments(self, name: str) -> Steps[None]:
        """The arguments of the function `name`, up to their end. Raises MalformedError."""
        layout, reader = self._layout, self._reader
        self._before = "{"
        if (yield from reader.comes("{")):  # all of them as one object
            self._before = ""
            yield from read_value(reader, self._add)
            yield from reader.expect(layout.arguments_end)
            return
        given: set[str] = set()
        while (yield from self._goes_on()):
            key = yield from self._read_key()
            holes = yield from self._read_key_end()
            self._add(f"{self._before}{_quoted(key)}: ")
            self._before = ", "
            path = (name, key)
            given.add(key)
            self._ends = self._value_ends(name, given)
            is_text = path in self._texts
            if holes and layout.types:
                is_text = holes[0].strip() == layout.types.get("string")
            if layout.kind == "elements":
                value = yield from self._read_node(path, 0)
                self._add(json.dumps(value, ensure_ascii=False))
            elif is_text or (path in self._optional and not (yield from self._is_null())):
                yield from self._read_text()
            else:
                yield from self._read_json()
        self.close()
        yield from reader.skip(self._arguments_rest)

    def close(self) -> None:
        """Ends the object that has been begun."""
        if self._before:
            self._add("{}" if self._before == "{" else "}")
        self._before = ""

    def _goes_on(self) -> Steps[bool]:
        begin = self._layout.key_begin
        return (yield from self._reader.one_of([begin, self._arguments_end])) == begin

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
        if self._closing:
            ends.append(self._closing)
        return tuple(ends)

    def _until_end(self, emit: Callable[[str], None]) -> Steps[None]:
        """Give everything before the end of a value to `emit`, and skip its tag alone."""
        reader = self._reader
        end = yield from reader.until_any(self._ends, emit)
        if end != self._layout.value_end:
            reader.unread(end)

    def _is_null(self) -> Steps[bool]:
        """Whether the value that comes next is none."""
        end = "".join(self._layout.value_end.split())
        for word in _NULLS:
            if (yield from self._reader.comes(word + end)):
                return True
        return False

    def _read_key(self) -> Steps[str]:
        sign, *_ = self._layout.key_end.split()
        sign = sign.partition("\0")[0]
        key = yield from self._reader.short_text(sign)
        if len(key) > MAX_NAME_CHARS or _NO_KEY.search(key):
            raise MalformedError
        return key

    def _read_key_end(self) -> Steps[list[str]]:
        """What is in its holes; [] where the type is left out."""
        bare = _TYPE.sub("", self._layout.key_end)
        if bare != self._layout.key_end and (yield from self._reader.skip(bare)):
            return []
        return (yield from self._reader.expect(self._layout.key_end))

    def _read_text(self) -> Steps[None]:
        """A raw text, without line breaks at its ends if the format has them there."""
        layout, reader = self._layout, self._reader
        if layout.has_line_breaks and (yield from reader.peek()) == "\n":
            reader.take(1)
        self._add('"')
        if layout.has_cdata and (yield from self._begins_with(CDATA)):
            yield from reader.until(CDATA_END, self._add_text)
            yield from reader.expect(layout.value_end)
        elif layout.has_line_breaks:
            held = ""

            def add(text: str) -> None:
                nonlocal held
                text = held + text
                held = "\n" if text.endswith("\n") else ""
                self._add_text(text.removesuffix("\n"))

            yield from self._until_end(add)
        else:
            yield from self._until_end(self._add_text)
        self._add('"')

    def _add_text(self, text: str) -> None:
        self._add(_quoted(text)[1:-1])

    def _begins_with(self, text: str) -> Steps[bool]:
        """Whether `text` comes next, which is skipped then."""
        reader = self._reader
        while not reader.rest.startswith(text):
            if not text.startswith(reader.rest):
                return False
            yield from reader.more()
        reader.take(len(text))
        return True

    def _read_json(self) -> Steps[None]:
        """JSON or a literal of Python, or else a raw text."""
        parts: list[str] = []
        yield from self._until_end(parts.append)
        self._add(_as_json("".join(parts).strip(SPACE)))

    def _read_node(self, path: tuple[str, ...], depth: int) -> Steps[Any]:
        """The value that stands up to the end of the element: its text, or its elements."""
        layout, reader = self._layout, self._reader
        end = f"{layout.value_end}{path[-1]}{layout.key_end}"
        members: list[tuple[str, Any]] = []
        texts: list[str] = []
        if depth > MAX_DEPTH:
            raise MalformedError
        is_text = path in self._texts or path in self._optional
        signs = (end,) if is_text else (end, layout.key_begin)
        while (yield from reader.until_any(signs, texts.append)) != end:
            inner = yield from self._read_key()
            yield from reader.expect(layout.key_end)
            members.append((inner, (yield from self._read_node((*path, inner), depth + 1))))
        if is_text:
            text = "".join(texts)
            is_null = path in self._optional and text.strip(SPACE) in _NULLS
            return None if is_null else text
        kind = self._containers.get(path)
        if not members:
            return _typed("".join(texts), kind)
        is_list = all(inner == ITEM for inner, _ in members) if kind is None else kind == "array"
        return [value for _, value in members] if is_list else dict(members)


def _first_tag(text: str) -> tuple[str, str]:
    """The first tag, or all of `text` where it begins with none; and what follows."""
    found = _TAG.match(text)
    return (found[0], text[found.end() :]) if found else (text, "")


def _typed(text: str, kind: str | None) -> Any:
    """What the text of an element looks like. kind: of the container that it is."""
    empty = {"object": dict, "array": list}.get(kind or "")
    bare = text.strip(SPACE)
    if not bare:
        return empty() if empty is not None else text or None
    found = json.loads(_as_json(bare))
    return text if found == bare else found  # a text keeps the white space around it


def _as_json(text: str) -> str:
    if text.startswith(CDATA) and text.endswith(CDATA_END):
        return _quoted(text[len(CDATA) : -len(CDATA_END)])
    return text if is_json(text) else _from_literal(text)


def _from_literal(text: str) -> str:
    """A list, an object or a word in Python's syntax as JSON; else `text` is a text."""
    if text in ("True", "False", "None") or (
        text[:1] in ("{", "[") and len(text) <= MAX_LITERAL_CHARS
    ):
        try:
            return json.dumps(ast.literal_eval(text), ensure_ascii=False, allow_nan=False)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return _quoted(text)
    return _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
