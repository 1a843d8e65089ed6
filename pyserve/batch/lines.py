"""Reads the input of a batch: one request per line. Finds what is wrong, and where lines are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from pyserve.errors import InvalidRequestError

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/edits",
    "/v1/messages",
)
METHOD = "POST"
MAX_LINES = 50_000
MAX_ID_CHARS = 512
MAX_MODELS = 64
MAX_PROBLEMS = 100
SHOWN_CHARS = 80
BLOCK_BYTES = 256  # of a prompt that two lines share, or not
# In the order in which they come in prompts.
PROMPT_FIELDS = ("instructions", "system", "tools", "functions", "messages", "prompt", "input")
REFUSED_IF_TRUE = ("stream", "background")
SKIP_BYTES = 1 << 20


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a line, as OpenAI tells it; line: its number, from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class InputError(InvalidRequestError):
    """The input cannot be run. problems: the first MAX_PROBLEMS of them."""

    code = "invalid_batch_input"

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        where = "" if first.line is None else f"line {first.line}: "
        super().__init__(where + first.message)
        self.problems = list(problems)


class Asked(msgspec.Struct, frozen=True):
    """A line."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class Line(msgspec.Struct, frozen=True):
    """Where a line is in its file. order: lines with a common beginning have near ones."""

    number: int
    begin: int
    n_bytes: int
    custom_id: str
    url: str
    order: tuple[str, str, bytes]


@dataclass(frozen=True)
class Bounds:
    """What is read. endpoint: of all lines, None: each may have its own of ENDPOINTS.

    n_models: how many different ones the lines may name; None: any number.
    """

    endpoint: str | None = None
    n_models: int | None = 1
    max_lines: int = MAX_LINES
    max_line_bytes: int = 8 << 20


@dataclass
class _Reader:
    bounds: Bounds
    problems: list[Problem] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    models: dict[str | None, None] = field(default_factory=dict)

    def add(self, code: str, message: str, line: int | None, param: str | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, message, param, line))

    def line(self, number: int, begin: int, data: bytes) -> Line | None:
        """The line, unless something is wrong with it."""
        asked, fields = self._parsed(number, data)
        if asked is None or not self._is_right(number, asked):
            return None
        model = _text(fields.get("model"))
        if not self._may_name(number, model):
            return None
        order = (asked.url, model or "", prefix_order(fields))
        return Line(number, begin, len(data), asked.custom_id, asked.url, order)

    def _parsed(self, number: int, data: bytes) -> tuple[Asked | None, dict[str, msgspec.Raw]]:
        try:
            data.decode()
            asked = msgspec.json.decode(data, type=Asked)
            fields = msgspec.json.decode(asked.body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError as error:
            self._refuse_fields(number, data, str(error))
        except UnicodeDecodeError as error:
            self.add("invalid_unicode", f"the line is not UTF-8 at byte {error.start}", number)
        except msgspec.DecodeError as error:
            self.add("invalid_json_line", f"the line is not valid JSON: {error}", number)
        except RecursionError:
            self.add("invalid_json_line", "the line is nested too deeply", number)
        else:
            return asked, fields
        return None, {}

    def _refuse_fields(self, number: int, data: bytes, message: str) -> None:
        try:
            found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            return self.add("invalid_json_line", "the line must be a JSON object", number)
        for name in ("custom_id", "method", "url", "body"):
            if name not in found:
                text = f"{name} is missing"
                return self.add("missing_required_parameter", text, number, name)
        param = next((name for name in Asked.__struct_fields__ if f"$.{name}" in message), "body")
        kind = "an object" if param == "body" else "a string"
        return self.add("invalid_type", f"{param} must be {kind}", number, param)

    def _is_right(self, number: int, asked: Asked) -> bool:
        n_before = len(self.problems)
        allowed: Collection[str] = (
            ENDPOINTS if self.bounds.endpoint is None else (self.bounds.endpoint,)
        )
        if asked.method != METHOD:
            text = f"method is {asked.method[:SHOWN_CHARS]!r}, must be {METHOD!r}"
            self.add("invalid_method", text, number, "method")
        if asked.url not in allowed:
            text = f"url is {asked.url[:SHOWN_CHARS]!r}, must be {' or '.join(allowed)}"
            self.add("invalid_url", text, number, "url")
        n_chars = len(asked.custom_id)
        if not 0 < n_chars <= MAX_ID_CHARS:
            text = f"custom_id has {n_chars} characters, must have 1 to {MAX_ID_CHARS}"
            self.add("invalid_value", text, number, "custom_id")
        first = self.numbers.setdefault(asked.custom_id, number)
        if first != number:
            text = f"custom_id {asked.custom_id[:SHOWN_CHARS]!r} is that of line {first} already"
            self.add("duplicate_custom_id", text, number, "custom_id")
        return len(self.problems) == n_before

    def _may_name(self, number: int, model: str | None) -> bool:
        n_max = self.bounds.n_models
        if model in self.models or n_max is None or len(self.models) < n_max:
            self.models[model] = None
            return True
        if n_max == 1:
            first = _shown(next(iter(self.models)))
            text = f"that of the first line is {first}: a batch has one model"
        else:
            text = f"and others name {n_max} models, as many as a batch may have"
        self.add("mismatched_model", f"the model is {_shown(model)}, {text}", number, "body.model")
        return False


@dataclass(frozen=True)
class Input:
    """The lines of an input, those with common beginnings after each other.

    models: those that they name, that of the first line first.
    """

    lines: list[Line]
    models: list[str]


def read_input(path: Path, bounds: Bounds) -> Input:
    """All lines of a file. Raises InputError, and OSError."""
    reader = _Reader(bounds)
    lines = []
    n_lines = 0
    with path.open("rb") as file:
        for number, begin, data in _split(file, bounds.max_line_bytes):
            n_lines += 1
            if n_lines > bounds.max_lines:
                text = f"the file has more than {bounds.max_lines} lines"
                reader.add("too_many_tasks", text, number)
                break
            if data is None:
                text = f"the line has more than {bounds.max_line_bytes} bytes"
                reader.add("line_too_large", text, number)
                continue
            line = reader.line(number, begin, data)
            if line is not None:
                lines.append(line)
    if n_lines == 0:
        reader.add("empty_file", "the file has no lines", None)
    if reader.problems:
        raise InputError(reader.problems)
    lines.sort(key=lambda line: (line.order, line.number))
    return Input(lines, [model for model in reader.models if model is not None])


def read_body(file: BinaryIO, line: Line) -> bytes:
    """The body of a line that was read before. Not for several threads with one file."""
    file.seek(line.begin)
    return bytes(msgspec.json.decode(file.read(line.n_bytes), type=Asked).body)


def refused_field(body: bytes) -> str | None:
    """The field of a line's body that asks for an answer in pieces, or later: that is no result."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    is_true = (name for name in REFUSED_IF_TRUE if bytes(fields.get(name, b"")) == b"true")
    return next(is_true, None)


def prefix_order(fields: dict[str, msgspec.Raw]) -> bytes:
    """Sorted by these, bodies whose prompts begin alike follow each other.

    A digest of each block in turn: equal as far as the prompts are.
    """
    digests = []
    for name in PROMPT_FIELDS:
        if name in fields:
            text = bytes(fields[name])
            for begin in range(0, len(text), BLOCK_BYTES):
                block = text[begin : begin + BLOCK_BYTES]
                digests.append(hashlib.blake2b(block, digest_size=8).digest())
    return b"".join(digests)


def _split(file: BinaryIO, max_bytes: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Number, begin and bytes of each line that is not blank; None in place of too many bytes."""
    number = begin = 0
    while data := file.readline(max_bytes + 2):  # of the end of the line
        number += 1
        n_bytes, rest = len(data), data
        while not rest.endswith(b"\n") and (rest := file.readline(SKIP_BYTES)):
            n_bytes += len(rest)
        if n_bytes > len(data) or len(data.rstrip(b"\r\n")) > max_bytes:
            yield number, begin, None
        elif data.strip():
            yield number, begin, data
        begin += n_bytes


def _shown(model: str | None) -> str:
    return "none" if model is None else repr(model[:SHOWN_CHARS])


def _text(raw: msgspec.Raw | None) -> str | None:
    found = None if raw is None else msgspec.json.decode(raw)
    return found if isinstance(found, str) else None
