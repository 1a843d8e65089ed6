"""Parses arguments that stand between tags, as texts or JSON, into JSON.

<parameter=city>
Oslo
</parameter>
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any

from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.json_values import MAX_NAME_CHARS
from pyserve.openai.tools.text_reader import SPACE, MalformedError, Steps, TextReader

Texts = frozenset[tuple[str, str]]
CDATA, CDATA_END = "<![CDATA[", "]]>"
ITEM = "item"
MAX_DEPTH = 32
MAX_LITERAL_CHARS = 100_000


class TaggedReader:
    """Reads the arguments of one call at a time, and gives them to `add` as JSON. One thread.

    texts: function and parameter where values are texts.
    """

    def __init__(
        self, reader: TextReader, layout: CallFormat, texts: Texts, add: Callable[[str], None]
    ) -> None:
        self._reader = reader
        self._layout = layout
        self._texts = texts
        self._add = add

    def read_arguments(self, name: str) -> Steps[None]:
        """The arguments of the function `name`, up to their end. Raises MalformedError."""
        layout, reader = self._layout, self._reader
        before = "{"
        while (yield from self._goes_on()):
            key = yield from self._read_key()
            holes = yield from reader.expect(layout.key_end)
            self._add(f"{before}{_quoted(key)}: ")
            before = ", "
            is_text = (name, key) in self._texts
            if holes and layout.types:
                is_text = holes[0].strip() == layout.types.get("string")
            if layout.kind == "elements":
                yield from self._read_element(key, is_text)
            elif is_text:
                yield from self._read_text()
            else:
                yield from self._read_json()
        self._add("{}" if before == "{" else "}")

    def _goes_on(self) -> Steps[bool]:
        layout, reader = self._layout, self._reader
        begin, end = layout.key_begin, layout.arguments_end
        return (yield from reader.one_of([begin, end])) == begin

    def _read_key(self) -> Steps[str]:
        sign, *_ = self._layout.key_end.split()
        sign = sign.partition("\0")[0]
        key = yield from self._reader.short_text(sign)
        if len(key) > MAX_NAME_CHARS:
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

    def _read_element(self, key: str, is_text: bool) -> Steps[None]:
        value = yield from self._read_node(key, 0)
        if is_text:
            self._add(_quoted(value if isinstance(value, str) else ""))
        else:
            self._add(json.dumps(_typed(value), ensure_ascii=False))

    def _read_node(self, key: str, depth: int) -> Steps[Any]:
        """What stands up to the end of the element `key`: its text, or its elements."""
        layout, reader = self._layout, self._reader
        end = f"{layout.value_end}{key}{layout.key_end}"
        members: list[tuple[str, Any]] = []
        texts: list[str] = []
        if depth > MAX_DEPTH:
            raise MalformedError
        while (yield from reader.until_any((end, layout.key_begin), texts.append)) != end:
            inner = yield from self._read_key()
            yield from reader.expect(layout.key_end)
            members.append((inner, (yield from self._read_node(inner, depth + 1))))
        if not members:
            return "".join(texts)
        if all(inner == ITEM for inner, _ in members):
            return [value for _, value in members]
        return dict(members)


def _typed(value: Any) -> Any:
    """The texts in it as what they look like."""
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value or None
    return found


def _as_json(text: str) -> str:
    if text.startswith(CDATA) and text.endswith(CDATA_END):
        return _quoted(text[len(CDATA) : -len(CDATA_END)])
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return _from_literal(text)
    return text


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
