"""Reads an answer into its parts, as it comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from pyserve.openai.tools.parsed_answer import reader_of
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin, Text, Thought


def read(style: AnswerStyle, chunks: Sequence[str]) -> tuple[str, str, list[tuple[str, str]]]:
    """Text, thoughts, and calls by name with their arguments."""
    reader = reader_of(style)
    assert reader is not None
    text = thoughts = ""
    calls: list[list[str]] = []
    for piece in [piece for chunk in chunks for piece in reader.feed(chunk)] + reader.close():
        match piece:
            case Text(more):
                text += more
            case Thought(more):
                thoughts += more
            case CallBegin(name):
                calls.append([name, ""])
            case CallArguments(more):
                calls[-1][1] += more
    return text, thoughts, [(name, arguments) for name, arguments in calls]
