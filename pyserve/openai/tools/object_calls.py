"""Parses tool calls that are JSON objects, incrementally, also where they are not quite those.

{"name": "f", "arguments": {...}}   [{"function": {...}}, ...]   {'name': 'f', ...}   {"f": {...}}
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.json_values import is_json, read_string, read_value
from pyserve.openai.tools.loose_values import PYTHON_QUOTES, LooseReader
from pyserve.openai.tools.text_reader import MalformedError, Steps, TextReader

# What models write for each other.
ARGUMENTS_KEYS = ("arguments", "parameters", "args")
_NAME_KEYS = ("name", "tool_name", "function", "tool")
FENCE = "```"
_FENCES = (f"{FENCE}json", FENCE)
_NOTHING = ("null", "None", '""')  # arguments that are none


class ObjectReader:
    """Reads calls one by one: the name goes to `begin`, the arguments to `add`. One thread."""

    def __init__(
        self,
        reader: TextReader,
        layout: CallFormat,
        begin: Callable[[str], None],
        add: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._begin = begin
        self._add = add
        self._loose = LooseReader(reader)
        self._name_keys = (layout.name_key, *_NAME_KEYS)
        self._arguments_keys = (layout.arguments_key, *ARGUMENTS_KEYS)

    def read(self, *, is_strict: bool = False) -> Steps[None]:
        """A call that is an object. Raises MalformedError for one without a name.

        is_strict: it is one only if arguments follow its name.
        """
        yield from self._reader.expect("{")
        yield from self._read_members(has_name=False, is_strict=is_strict)

    def read_keyed(self) -> Steps[None]:
        """A call whose name is the key of its arguments; or one that is as `read` has it."""
        reader = self._reader
        yield from reader.expect("{")
        yield from reader.skip_space()
        name = yield from self._read_text()
        yield from reader.expect(":")
        yield from reader.skip_space()
        if name in self._name_keys and reader.rest[0] in PYTHON_QUOTES:
            self._begin((yield from self._read_text()))
            yield from self._read_members(has_name=True)
            return
        if reader.rest[0] != "{":
            raise MalformedError
        self._begin(name)
        yield from self._read_value(self._add)
        yield from reader.expect("}")

    def _read_members(self, *, has_name: bool, is_strict: bool = False) -> Steps[None]:
        reader = self._reader
        early: list[str] = []  # arguments that stand before the name
        has_arguments = is_inside = False
        while True:
            yield from reader.skip_space()
            if reader.rest[0] in "},":
                if reader.take(1) == "}":
                    break
                continue
            key = yield from self._read_text()
            yield from reader.expect(":")
            yield from reader.skip_space()
            if key in self._name_keys and not has_name and reader.rest[0] in PYTHON_QUOTES:
                self._begin((yield from self._read_text()))
                has_name = True
            elif key in self._arguments_keys and not has_arguments:
                has_arguments = True
                yield from self.read_arguments(self._add if has_name else early.append)
            elif key == "function" and not has_name and reader.rest[0] == "{":
                has_name = is_inside = True
                yield from self.read()
            elif is_strict and not has_arguments:
                raise MalformedError
            else:
                yield from self._read_value(lambda _: None)
        if not has_name:
            raise MalformedError
        if not is_inside:
            self._add("".join(early) if has_arguments else "{}")

    def read_arguments(self, emit: Callable[[str], None]) -> Steps[None]:
        """An object, or one that is written as a text; what is none is an empty one."""
        reader = self._reader
        first = yield from reader.peek()
        if first == "{":
            yield from self._read_value(emit)
            return
        parts: list[str] = []
        yield from self._read_value(parts.append)
        written = "".join(parts)
        is_text = first in PYTHON_QUOTES and is_json(written)
        inner = json.loads(written) if is_text else ""
        if written in _NOTHING:
            emit("{}")
        else:
            emit(inner if inner.startswith("{") and is_json(inner) else written)

    def skip_fence(self) -> Steps[bool]:
        """Skips what begins or ends a block of code. Returns whether it came next."""
        reader = self._reader
        is_there = yield from reader.comes(FENCE)
        if is_there:
            yield from reader.one_of(_FENCES)
        return is_there

    def _read_text(self) -> Steps[str]:
        """A short text in either kind of quotes."""
        if (yield from self._reader.peek()) == '"':
            return (yield from read_string(self._reader))
        if self._reader.rest[0] != "'":
            raise MalformedError
        return (yield from self._loose.read_key())

    def _read_value(self, emit: Callable[[str], None]) -> Steps[None]:
        """A value in JSON, or as Python writes it."""
        if (yield from self._is_python()):
            yield from self._loose.read_value(emit)
        else:
            yield from read_value(self._reader, emit)

    def _is_python(self) -> Steps[bool]:
        """Whether the first text in the value that comes next is in single quotes."""
        reader = self._reader
        while True:
            begin = reader.rest.lstrip("{[ \t\r\n")
            if begin or reader.is_closed:
                return begin.startswith("'")
            yield from reader.more()
