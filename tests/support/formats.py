# ruff: noqa: RUF001
"""Formats of calls as they are derived from the templates of families, for tests of readers."""

from __future__ import annotations

from pyserve.openai.tools.formats import HOLE, CallFormat

APERTUS = CallFormat(
    name="apertus",
    kind="keyed",
    trigger="<|tools_prefix|>",
    before="[",
    between=", ",
    after="]<|tools_suffix|>",
)
GEMMA = CallFormat(
    name="gemma",
    kind="quoted",
    trigger="<|tool_call>",
    before="call:",
    after="<tool_call|>",
    quote='<|"|>',
)
KIMI = CallFormat(
    name="kimi",
    kind="named",
    trigger="<|tool_calls_section_begin|>",
    before="<|tool_call_begin|>functions.",
    name_end=f":{HOLE}<|tool_call_argument_begin|>",
    between="<|tool_call_end|><|tool_call_begin|>functions.",
    after="<|tool_call_end|><|tool_calls_section_end|>",
    has_named_ids=True,
)
MINIMAX = CallFormat(
    name="minimax",
    kind="tagged",
    trigger="<minimax:tool_call>",
    before='\n<invoke name="',
    between='<invoke name="',
    after="</minimax:tool_call>",
    name_end='">\n',
    key_begin='<parameter name="',
    key_end='">',
    value_end="</parameter>",
    arguments_end="</invoke>\n",
    has_line_breaks=False,
)
DEEPSEEK = CallFormat(
    name="deepseek",
    kind="tagged",
    trigger="<｜DSML｜tool_calls>",
    before='\n<｜DSML｜invoke name="',
    between='<｜DSML｜invoke name="',
    after="</｜DSML｜tool_calls>",
    name_end='">\n',
    key_begin='<｜DSML｜parameter name="',
    key_end=f'" string="{HOLE}">',
    types={"string": "true", "number": "false"},
    value_end="</｜DSML｜parameter>",
    arguments_end="</｜DSML｜invoke>\n",
    has_line_breaks=False,
)
