# ruff: noqa: RUF001
"""Answers with thoughts and calls, each fed whole, split at every place, and one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.openai.tools.formats import GENERIC, TAGGED, CallFormat
from pyserve.openai.tools.known_formats import call_format
from pyserve.openai.tools.message_reader import MessageReader
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
    Thinking,
    Thought,
)
from pyserve.openai.tools.value_types import TEXT

THINK = Thinking("<think>", "</think>")
OPEN = Thinking("<think>", "</think>", is_open=True)
MISTRAL = call_format("tools [TOOL_CALLS]")
MISTRAL_ARGS = call_format("tools [TOOL_CALLS] [ARGS]")
LLAMA = call_format('tools <|python_tag|> "parameters"')
PHI = call_format("tools <|tool_call|> <|/tool_call|>")
GRANITE = call_format("tools <|tool_call|>")
R1 = call_format("tools <｜tool▁calls▁begin｜> function<｜tool▁sep｜> ```json")
V31 = call_format("tools <｜tool▁calls▁begin｜> <｜tool▁sep｜>")
R1_CALL = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```<｜tool▁call▁end｜>"
CODER = call_format("tools <tool_call> <function= <parameter=")
GLM = call_format("tools <tool_call> <arg_key> <arg_value>")
CODER_CALL = """<tool_call>
<function=f>
<parameter=text>
a "b"

c
</parameter>
<parameter=a>
[1, 2]
</parameter>
<parameter=odd>
not JSON
</parameter>
</function>
</tool_call>"""
GLM_CALL = """<tool_call>f
<arg_key>text</arg_key>
<arg_value>true</arg_value>
<arg_key>a</arg_key>
<arg_value>true</arg_value>
</tool_call>"""
F_CALL = '{"name": "f", "arguments": {"a": 1}}'
F = [CallBegin("f"), CallArguments('{"a": 1}')]
G = [CallBegin("g"), CallArguments("{}")]

TEXTS = {("f", "text"): TEXT}
TAGS: list[tuple[CallFormat, str, list[Piece]]] = [
    (
        CODER,
        f"So {CODER_CALL}",
        [
            Text("So"),
            CallBegin("f"),
            CallArguments('{"text": "a \\"b\\"\\n\\nc", "a": [1, 2], "odd": "not JSON"}'),
        ],
    ),
    (CODER, "<tool_call><function=g></function></tool_call>", G),
    (CODER, "<tool_call><function=>", [Text("<tool_call><function=>")]),
    (CODER, CODER_CALL[:45], [CallBegin("f"), CallArguments('{"text": "a \\"')]),
    (GLM, GLM_CALL, [CallBegin("f"), CallArguments('{"text": "true", "a": true}')]),
    (GLM, "<tool_call>g</tool_call>", G),
]

CASES: list[tuple[Thinking | None, CallFormat | None, str, list[Piece]]] = [
    (None, TAGGED, "", []),
    (None, TAGGED, " \n", [Text(" \n")]),
    (None, TAGGED, " Hello \n you \n", [Text(" Hello \n you \n")]),
    (None, TAGGED, f"<tool_call>\n{F_CALL}\n</tool_call>", F),
    (
        None,
        TAGGED,
        f"Sure!\n<tool_call>{F_CALL}</tool_call> Done.",
        [Text("Sure!"), *F, Text(" Done.")],
    ),
    (
        None,
        TAGGED,
        f"<tool_call>\n{F_CALL}\n</tool_call>\n"
        '<tool_call>{"arguments": {}, "name": "g"}</tool_call>\n',
        [*F, *G],
    ),
    (
        None,
        TAGGED,
        '<tool_call>{"name": "f", "arguments": {"a": "x}\\"y\\\\", "b": [{"c": "]"}]}}</tool_call>',
        [CallBegin("f"), CallArguments('{"a": "x}\\"y\\\\", "b": [{"c": "]"}]}')],
    ),
    (None, TAGGED, '<tool_call>{"name": "g"}</tool_call>', G),
    (None, TAGGED, '<tool_call>{"id": 7, "name": "g", "x": "\\""}</tool_call>', G),
    # What is cut off stays what it is.
    (
        None,
        TAGGED,
        '<tool_call>{"name": "f", "arguments": {"a',
        [CallBegin("f"), CallArguments('{"a')],
    ),
    (None, TAGGED, f"<tool_call>{F_CALL}</tool", F),
    (None, TAGGED, '<tool_call>{"na', [Text('<tool_call>{"na')]),
    (None, TAGGED, "so <tool", [Text("so <tool")]),
    # What is no call is text, without marks that are no words.
    (None, TAGGED, "a <tool_call> b </tool_call>", [Text("a <tool_call> b </tool_call>")]),
    (None, TAGGED, '<tool_call>{"a": 1}</tool_call>', [Text('<tool_call>{"a": 1}</tool_call>')]),
    (None, TAGGED, '<tool_call>["f"]', [Text('<tool_call>["f"]')]),
    (None, TAGGED, f"<tool_call><tool_call>{F_CALL}</tool_call>", F),
    # Thoughts.
    (THINK, None, "<think>\nHm.\n\n</think>\n\nHi!", [Thought("Hm."), Text("Hi!")]),
    (THINK, None, "\n <think></think>Hi", [Text("Hi")]),
    (THINK, None, "Hi <think>", [Text("Hi <think>")]),
    (THINK, None, " <thin", [Text(" <thin")]),
    (OPEN, None, "Hm </thin", [Thought("Hm </thin")]),
    (OPEN, None, "\nHm\n</think>\nHi", [Thought("Hm"), Text("Hi")]),
    (
        OPEN,
        TAGGED,
        f"<tool_call></think><tool_call>{F_CALL}</tool_call>",
        [Thought("<tool_call>"), *F],
    ),
    # Other formats.
    (
        None,
        MISTRAL,
        f'[TOOL_CALLS][{F_CALL}, {{"name": "g", "arguments": {{}}, "id": "abc"}}]',
        [*F, *G],
    ),
    (None, MISTRAL, "[TOOL_CALLS][]", [Text("[]")]),
    (
        None,
        MISTRAL_ARGS,
        'ok[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}',
        [Text("ok"), *F, *G],
    ),
    (None, MISTRAL_ARGS, "[TOOL_CALLS]" + "f" * 300, [Text("f" * 300)]),
    (None, LLAMA, '{"name": "f", "parameters": {"a": 1}}', F),
    (None, LLAMA, '\n<|python_tag|>{"name": "f", "parameters": {"a": 1}}', F),
    (None, LLAMA, '{"a": 2} or so', [Text('{"a": 2} or so')]),
    (None, LLAMA, f"Not {F_CALL}", [Text(f"Not {F_CALL}")]),
    (None, PHI, f"<|tool_call|>[{F_CALL}]<|/tool_call|>", F),
    (None, GRANITE, f"<|tool_call|>[{F_CALL}]", F),
    (
        None,
        R1,
        "<｜tool▁calls▁begin｜>"
        + R1_CALL.format("f", '{"a": 1}')
        + "\n"
        + R1_CALL.format("g", "{}")
        + "<｜tool▁calls▁end｜>",
        [*F, *G],
    ),
    (
        None,
        V31,
        'x<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜>'
        "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        [Text("x"), *F, *G],
    ),
]


def read(style: AnswerStyle, chunks: list[str]) -> list[Piece]:
    """What comes out, with neighbours of one kind joined."""
    reader = MessageReader(style)
    pieces = [piece for chunk in chunks for piece in reader.feed(chunk)] + reader.close()
    joined: list[Piece] = []
    for piece in pieces:
        if joined and type(joined[-1]) is type(piece) and not isinstance(piece, CallBegin):
            joined[-1] = type(piece)(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(("thinking", "calls", "text", "expected"), CASES)
def test_the_same_comes_out_however_the_text_is_cut(thinking, calls, text, expected):
    style = AnswerStyle(thinking, calls)
    assert read(style, [text]) == expected
    assert read(style, list(text)) == expected
    for i in range(len(text)):
        assert read(style, [text[:i], text[i:]]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n", []),
        ("<tool", []),
        ('<tool_call>\n{"name": "', []),
        ('<tool_call>{"name": "f", "argum', [CallBegin("f")]),
        ('<tool_call>{"name": "f", "arguments": {"a', [CallBegin("f"), CallArguments('{"a')]),
        (f"<think>Hm.</think>\n<tool_call>{F_CALL}</too", [Thought("Hm."), *F]),
        ("<think>Hm", [Thought("Hm")]),
    ],
)
def test_an_answer_that_is_a_call_has_no_text_wherever_it_is_cut(text, expected):
    style = AnswerStyle(THINK, TAGGED, has_sure_calls=True, is_call=True)
    assert read(style, [text]) == expected
    assert read(style, list(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('So <tool_call>\n{"na', [Text("So ")]),
        ("So <tool_call>", [Text("So ")]),
        ("So <tool", [Text("So <tool")]),
    ],
)
def test_a_call_that_is_sure_to_be_one_is_no_text_when_it_is_cut(text, expected):
    assert read(AnswerStyle(None, TAGGED, has_sure_calls=True), [text]) == expected


@pytest.mark.parametrize(("layout", "text", "expected"), TAGS)
def test_arguments_in_tags_become_json_however_the_text_is_cut(layout, text, expected):
    style = AnswerStyle(None, layout, TEXTS)
    assert read(style, [text]) == expected
    assert read(style, list(text)) == expected
    for i in range(len(text)):
        assert read(style, [text[:i], text[i:]]) == expected


def test_arguments_come_as_they_are_written():
    reader = MessageReader(AnswerStyle(None, TAGGED))
    assert reader.feed('<tool_call>{"name": "f", "argu') == [CallBegin("f")]
    said = reader.feed('ments": {"a": "xy')
    assert "".join(piece.text for piece in said) == '{"a": "xy'
    assert reader.feed("z") == [CallArguments("z")]


@given(
    st.lists(
        st.sampled_from(
            [
                "<tool_call>",
                "</tool_call>",
                "{",
                "}",
                '"name"',
                ":",
                '"f"',
                ",",
                "\\",
                '"',
                "<think>",
                "</think>",
                "[",
                " ",
                "x",
            ]
        ),
        max_size=30,
    )
)
def test_any_text_is_read_without_loss_of_order(words):
    text = "".join(words)
    for thinking in (None, THINK, OPEN):
        style = AnswerStyle(thinking, GENERIC)
        assert read(style, words) == read(style, [text])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{% for m in messages %}", "generic"),
        ("<tool_call>", "generic"),
        ("{% if tools %}<tool_call>", "tagged"),
        ("{% if tools %}<tool_call><function=<parameter=", "qwen-coder"),
        ("{% if tools %}[TOOL_CALLS]", "mistral"),
        ("", "generic"),
    ],
)
def test_the_format_is_told_by_the_template(source, name):
    assert call_format(source).name == name


def test_a_list_that_ends_in_another_way_ends_the_call():
    calls = CallFormat(
        name="p", kind="pythonic", trigger="<|call|>", before="[", between=", ", after="]<|end|>"
    )
    style = AnswerStyle(None, calls)
    for text in ("<|call|>[f(a=[1, x), g()]<|end|>", "<|call|>[f(a=:)]<|end|>"):
        pieces = read(style, [text])
        assert pieces[0] == CallBegin("f")
        assert read(style, list(text)) == pieces
