"""What is fuzzed in Python: functions of bytes that raise nothing but what they promise."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyserve.engine.remote import wire
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.check import check_model_file
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.go.evaluator import render
from pyserve.models.templates.go.parser import parse
from pyserve.openai.structured.constraint import schema_constraint
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.lark import lark_expression
from pyserve.openai.structured.lark_reader import LarkError
from pyserve.openai.structured.regex import json_text, plain_regex, raw_char
from pyserve.openai.structured.regex_tree import UnsupportedRegexError, parsed_regex
from pyserve.openai.tools.formats import CallFormat
from pyserve.openai.tools.known_formats import KNOWN_FORMATS, SPECIAL_FORMATS
from pyserve.openai.tools.parsed_answer import reader_of
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Text,
    Thinking,
    Thought,
)
from pyserve.openai.tools.value_types import OPTIONAL_TEXT, TEXT
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import RequestModel
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.validate import validate
from pyserve.web.request.json_gate import parse_object
from tests.support.formats import APERTUS, GEMMA

BODIES: tuple[type[RequestModel], ...] = (
    ChatRequest,
    CompletionRequest,
    EditRequest,
    EmbeddingRequest,
    ResponseRequest,
)
DECODERS: tuple[Callable[[], wire.FrameDecoder[Any]], ...] = (
    wire.front_decoder,
    wire.engine_decoder,
    wire.report_decoder,
)
# One of each kind, with the marks of the models that use it.
ANSWER_STYLES = tuple(
    AnswerStyle(
        Thinking("<think>", "</think>", is_repeated=layout.kind == "quoted"),
        layout,
        {("f", "text"): TEXT, ("f", "note"): OPTIONAL_TEXT},
        parameters={"f": ("text", "note", "n"), "g": ()},
        marks=layout.control_marks,
    )
    for layout in (
        *KNOWN_FORMATS,
        GEMMA,
        APERTUS,
        CallFormat(
            name="elements",
            kind="elements",
            trigger="]<]mm[>[<call>",
            name_end='">',
            before=']<]mm[>[<invoke name="',
            key_begin="]<]mm[>[<",
            key_end=">",
            value_end="]<]mm[>[</",
            arguments_end="]<]mm[>[</invoke>",
            after="]<]mm[>[</call>",
            has_line_breaks=False,
        ),
    )
) + tuple(
    AnswerStyle(
        Thinking(*(form.thinking or ("<think>", "</think>"))),
        form.calls,
        {("f", "text"): TEXT},
        marks=form.all_marks,
        channels=form.channels,
    )
    for form in SPECIAL_FORMATS
)
TEMPLATE_DATA = {
    "Input": "a <b> c",
    "System": "",
    "Messages": [{"Role": "user", "Content": "x"}, {"Role": "assistant", "Content": "y"}],
    "Functions": {"f": {"n": 1}},
    "Index": 3,
}


def request(data: bytes) -> None:
    """The first byte is the kind of the body that the others are."""
    with contextlib.suppress(InvalidRequestError):
        validate(BODIES[_choice(data, len(BODIES))], parse_object(data[1:]))


def frames(data: bytes) -> None:
    """The first byte is who reads the others: whole, and byte by byte, with the same result."""
    decoder = DECODERS[_choice(data, len(DECODERS))]
    whole, single = decoder(), decoder()
    assert _decoded(whole, [data[1:]]) == _decoded(
        single, [data[i : i + 1] for i in range(1, len(data))]
    )


def _decoded(decoder: wire.FrameDecoder[Any], pieces: list[bytes]) -> list[Any] | None:
    messages: list[Any] = []
    try:
        for piece in pieces:
            messages += decoder.feed(piece)
    except wire.WireError:
        return None
    return messages


def go_template(data: bytes) -> None:
    with contextlib.suppress(TemplateError):
        render(parse("fuzz", data.decode("utf-8", "replace")), TEMPLATE_DATA)


def json_schema(data: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        schema_constraint(parse_object(data), "schema")


def regex(data: bytes) -> None:
    pattern = data.decode("utf-8", "replace")
    with contextlib.suppress(UnsupportedRegexError):
        plain_regex(pattern, JsonRules())
    with contextlib.suppress(UnsupportedRegexError):
        json_text([parsed_regex(pattern)], JsonRules(), 1, 40)


def lark(data: bytes) -> None:
    with contextlib.suppress(LarkError):
        lark_expression(data.decode("utf-8", "replace"), JsonRules(), raw_char)


def gguf(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ModelLoadError):
            check_model_file(Path(file.name))


def _choice(data: bytes, n: int) -> int:
    return data[0] % n if data else 0


def answer(data: bytes) -> None:
    """The first byte is the format that the others are read in: whole, and one by one."""
    style = ANSWER_STYLES[_choice(data, len(ANSWER_STYLES))]
    text = data[1:].decode("utf-8", "replace")
    assert _answer_parts(style, [text]) == _answer_parts(style, list(text))


def _answer_parts(style: AnswerStyle, texts: list[str]) -> tuple[str, str, str]:
    """Text, thoughts, calls."""
    reader = reader_of(style)
    assert reader is not None
    pieces = [piece for text in texts for piece in reader.feed(text)] + reader.close()
    said = "".join(piece.text for piece in pieces if isinstance(piece, Text))
    thoughts = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
    calls = [
        f"\0{piece.name}\0" if isinstance(piece, CallBegin) else piece.text
        for piece in pieces
        if isinstance(piece, CallBegin | CallArguments)
    ]
    return said, thoughts, "".join(calls)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (request, frames, go_template, json_schema, regex, lark, gguf, answer)
}
CORPUS = Path(__file__).parent / "corpus"


def corpus(target: str) -> list[Path]:
    """The inputs that fuzzing begins with, and those it found."""
    return sorted((CORPUS / target).iterdir())
