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

from pyserve.openai.tools.formats import ITEM, CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS, is_json
from pyserve.openai.tools.text_reader import SPACE, MalformedError, Steps, TextReader

Texts = frozenset[tuple[str, ...]]
Containers = dict[tuple[str, ...], str]
CDATA, CDATA_END = "<![CDATA[", "]]>"
_NO_KEY = re.compile(r"[\r\n<>]")  # the tag of the key has no end
MAX_DEPTH = 32
MAX_LITERAL_CHARS = 100_000


class TaggedReader:
    """Reads the arguments of one call at a time, and gives them to `add` as JSON. One thread.

    texts: function and parameter where values are texts, in elements also members of them.
    containers: of the elements that are objects and arrays.
    """

    def __init__(
        self,
        reader: TextReader,
        layout: CallFormat,
        texts: Texts,
        containers: Containers,
        add: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._layout = layout
        self._texts = texts
        self._containers = containers
        self._before = ""  # what stands before the next key; "": no arguments are open
        self._add = add

    def read_arguments(self, name: str) -> Steps[None]:
        """The arguments of the function `name`, up to their end. Raises MalformedError."""
        layout, reader = self._layout, self._reader
        self._before = "{"
        while (yield from self._goes_on()):
            key = yield from self._read_key()
            holes = yield from reader.expect(layout.key_end)
            self._add(f"{self._before}{_quoted(key)}: ")
            self._before = ", "
            is_text = (name, key) in self._texts
            if holes and layout.types:
                is_text = holes[0].strip() == layout.types.get("string")
            if layout.kind == "elements":
                value = yield from self._read_node((name, key), 0)
                self._add(json.dumps(value, ensure_ascii=False))
            elif is_text:
                yield from self._read_text()
            else:
                yield from self._read_json()
        self.close()

    def close(self) -> None:
        """Ends the object that has been begun."""
        if self._before:
            self._add("{}" if self._before == "{" else "}")
        self._before = ""

    def _goes_on(self) -> Steps[bool]:
        layout, reader = self._layout, self._reader
        begin, end = layout.key_begin, layout.arguments_end
        return (yield from reader.one_of([begin, end])) == begin

    def _read_key(self) -> Steps[str]:
        sign, *_ = self._layout.key_end.split()
        sign = sign.partition("\0")[0]
        key = yield from self._reader.short_text(sign)
        if len(key) > MAX_NAME_CHARS or _NO_KEY.search(key):
            raise MalformedError
        return key

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

            yield from reader.until(layout.value_end, add)
        else:
            yield from reader.until(layout.value_end, self._add_text)
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
        yield from self._reader.until(self._layout.value_end, parts.append)
        self._add(_as_json("".join(parts).strip(SPACE)))

    def _read_node(self, path: tuple[str, ...], depth: int) -> Steps[Any]:
        """The value that stands up to the end of the element: its text, or its elements."""
        layout, reader = self._layout, self._reader
        end = f"{layout.value_end}{path[-1]}{layout.key_end}"
        members: list[tuple[str, Any]] = []
        texts: list[str] = []
        if depth > MAX_DEPTH:
            raise MalformedError
        signs = (end,) if path in self._texts else (end, layout.key_begin)
        while (yield from reader.until_any(signs, texts.append)) != end:
            inner = yield from self._read_key()
            yield from reader.expect(layout.key_end)
            members.append((inner, (yield from self._read_node((*path, inner), depth + 1))))
        if path in self._texts:
            return "".join(texts)
        kind = self._containers.get(path)
        if not members:
            return _typed("".join(texts), kind)
        is_list = all(inner == ITEM for inner, _ in members) if kind is None else kind == "array"
        return [value for _, value in members] if is_list else dict(members)


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
