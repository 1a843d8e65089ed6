"""Answers made of messages with headers, each fed whole, split at every place, and one by one."""

from __future__ import annotations

import msgspec
import pytest

from pyserve.openai.tools.channel_reader import ChannelReader
from pyserve.openai.tools.known_formats import HARMONY, special_format
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
    Thinking,
    Thought,
)

assert HARMONY.thinking is not None
THINKING = Thinking(*HARMONY.thinking)
CHAT = AnswerStyle(THINKING, marks=HARMONY.all_marks, channels=HARMONY.channels)
TOOLS = msgspec.structs.replace(CHAT, calls=HARMONY.calls)
FUNCTIONARY = special_format(">>>all >>>${recipient}")
assert FUNCTIONARY is not None
RECIPIENTS = AnswerStyle(None, FUNCTIONARY.calls, channels=FUNCTIONARY.channels)
MUSE = special_format("to=self<|message|> <atem:invoke name= <|eom|>")
assert MUSE is not None
TURNS = AnswerStyle(Thinking(*(MUSE.thinking or ("", ""))), MUSE.calls, channels=MUSE.channels)
F = [CallBegin("f"), CallArguments('{"a": 1}')]

CASES: list[tuple[AnswerStyle, str, list[Piece]]] = [
    (CHAT, "", []),
    (CHAT, "Hi there", [Text("Hi there")]),
    (CHAT, "<|channel|>final<|message|>Hi <b> there", [Text("Hi <b> there")]),
    (CHAT, "<|channel|>commentary<|message|>Hi", [Text("Hi")]),
    (
        CHAT,
        "<|channel|>analysis<|message|>Hm.\n<|end|><|start|>assistant<|channel|>final"
        " <|constrain|>json<|message|>{}<|return|>",
        [Thought("Hm."), Text("{}")],
    ),
    (
        CHAT,
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>analysis<|message|>B"
        "<|start|>assistant<|channel|>final<|message|>C",
        [Thought("AB"), Text("C")],
    ),
    (
        TOOLS,
        "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary<|message|>"
        "I look.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json"
        '<|message|>{"a": 1}<|call|>',
        [Thought("A"), Text("I look."), *F],
    ),
    (TOOLS, ' to=functions.f<|channel|>analysis<|message|>{"a": 1}', F),
    (TOOLS, '<|channel|>commentary to=f<|message|> {"a": 1} more', F),
    (
        TOOLS,
        "<|channel|>commentary to=assistant<|channel|>analysis<|message|>A",
        [Thought("A")],
    ),
    (
        TURNS,
        " to=self<|message|>A<|eom|><|start|>assistant to=commentary<|message|>I look. <|eom|>"
        "<|start|>assistant to=user<|message|>B<|eot|>",
        [Thought("A"), Text("I look. B")],
    ),
    # A function that was not offered, and one that is no JSON.
    (CHAT, '<|channel|>commentary to=functions.f<|message|>{"a": 1}', []),
    (TOOLS, "<|channel|>commentary to=python<|message|>print(1)", []),
    # What is cut off.
    (CHAT, "<|chan", []),
    (CHAT, "<|channel|>final", []),
    (CHAT, "<|channel|>final<|message|>Hi<|e", [Text("Hi")]),
    (TOOLS, '<|channel|>commentary to=functions.f<|message|>{"a', [F[0], CallArguments('{"a')]),
    # Marks in the text are left out, wherever they stand.
    (CHAT, "<|channel|>final<|message|>a<|constrain|>b<|message|>c", [Text("abc")]),
    (RECIPIENTS, "all\nHi\n>>> no\nheader", [Text("Hi\n no\nheader")]),
    (RECIPIENTS, 'all\nHi>>>f\n{"a": 1}', [Text("Hi"), *F]),
    (RECIPIENTS, 'f\n{"a": 1}>>>f\n{"a": 1}', [*F, *F]),
    (RECIPIENTS, "Hello", [Text("Hello")]),
]


def read(style: AnswerStyle, chunks: list[str]) -> list[Piece]:
    """What comes out, with neighbours of one kind joined."""
    reader = ChannelReader(style)
    pieces = [piece for chunk in chunks for piece in reader.feed(chunk)] + reader.close()
    joined: list[Piece] = []
    for piece in pieces:
        if joined and type(joined[-1]) is type(piece) and not isinstance(piece, CallBegin):
            joined[-1] = type(piece)(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(("style", "text", "expected"), CASES)
def test_the_same_comes_out_however_the_text_is_cut(style, text, expected):
    assert read(style, [text]) == expected
    assert read(style, list(text)) == expected
    for i in range(len(text)):
        assert read(style, [text[:i], text[i:]]) == expected


def test_thoughts_can_be_hidden_or_shown_as_text():
    text = "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>B"
    hidden = msgspec.structs.replace(CHAT, hides_thoughts=True)
    assert read(hidden, [text]) == [Text("B")]
    shown = msgspec.structs.replace(CHAT, thinking=None)
    assert read(shown, [text]) == [Text("AB")]


def test_an_answer_that_is_continued_begins_in_its_text():
    continued = msgspec.structs.replace(CHAT, is_continued=True)
    text = "and more<|end|><|start|>assistant<|channel|>analysis<|message|>A"
    assert read(continued, [text]) == [Text("and more"), Thought("A")]
