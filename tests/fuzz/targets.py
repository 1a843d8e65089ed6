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
from pyserve.openai.structured.constraint import schema_grammar
from pyserve.openai.structured.regex import UnsupportedRegexError, json_pattern, plain_regex
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import RequestModel
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.validate import validate
from pyserve.web.request.json_gate import parse_object

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
        schema_grammar(parse_object(data), "schema")


def regex(data: bytes) -> None:
    pattern = data.decode("utf-8", "replace")
    for translate in (plain_regex, json_pattern):
        with contextlib.suppress(UnsupportedRegexError):
            translate(pattern)


def gguf(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ModelLoadError):
            check_model_file(Path(file.name))


def _choice(data: bytes, n: int) -> int:
    return data[0] % n if data else 0


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (request, frames, go_template, json_schema, regex, gguf)
}
CORPUS = Path(__file__).parent / "corpus"


def corpus(target: str) -> list[Path]:
    """The inputs that fuzzing begins with, and those it found."""
    return sorted((CORPUS / target).iterdir())
