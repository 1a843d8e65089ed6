"""Streams of JSON lines, as Ollama's API has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pyserve.ollama.errors import OLLAMA
from pyserve.openai.document.operation import LINES
from pyserve.process.json_line import json_line
from pyserve.web.answer.sse import DataFrames, Failure


def line(content: Any) -> bytes:
    return json_line(content) + b"\n"


class LineFrames(DataFrames):
    """How a stream is written: one line for each chunk; the last one is the answer's own.

    quiet: the line that says that we are still there.
    """

    content_type: ClassVar[str] = LINES
    end: ClassVar[bytes] = b""
    says_where: ClassVar[bool] = False
    quiet: ClassVar[bytes] = b""

    def chunks(self, contents: Iterable[Any]) -> bytes:
        return b"".join(line(content) for content in contents)

    @classmethod
    def silence(cls, said: str = "") -> bytes:  # noqa: ARG003
        return cls.quiet

    @classmethod
    def refusal(cls, failure: Failure) -> bytes:
        return error_line(failure)


def error_line(failure: Failure) -> bytes:
    """The last line of a stream that failed."""
    return line(OLLAMA.tell(*failure)[1])


def lines_with(quiet: Any) -> type[LineFrames]:
    """The lines of one answer; its streams say `quiet` when they have nothing to say.

    Clients read every line as a chunk of the answer, so it has to be one without text.
    """
    return type("LineFrames", (LineFrames,), {"quiet": line(quiet)})
