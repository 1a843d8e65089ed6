# ruff: noqa: RUF001
from __future__ import annotations

from pyserve.engine.markers import CALL_MARKERS, shown_marks
from pyserve.openai.tools.known_formats import KNOWN_FORMATS
from pyserve.openai.tools.thinking import thinking_tags


def test_tags_of_thoughts_are_found_where_a_template_takes_earlier_ones_out():
    source = "{%- for part in text.split('<channel|>') -%}{{ part.split('<|channel>')[0] }}"
    assert thinking_tags(source) == ("<|channel>thought", "<channel|>")
    assert thinking_tags("{{ messages }}") is None


def test_every_mark_is_one_of_a_format():
    written = " ".join(str(layout) for layout in KNOWN_FORMATS)
    # The tag of llama is not written by the format: it may be left out.
    assert [mark for mark in CALL_MARKERS if mark not in written] == ["<|python_tag|>"]


def test_marks_of_parts_of_answers_are_told_by_their_words():
    template = (
        "{{ '<|im_start|>' + role }}<|my_tool_call|>{{ x }}</my:args> <|turn>model <tool_sep|>"
        '[TOOL_CALLS] ]<]minimax[>[<invoke <｜DSML｜parameter> <|"|> <b> {{ a < b > c }}'
    )
    assert shown_marks(template) == (
        "<|my_tool_call|>",
        "</my:args>",
        "<tool_sep|>",
        "[TOOL_CALLS]",
        "]<]minimax[>[",
        "<｜DSML｜parameter>",
        '<|"|>',
    )
