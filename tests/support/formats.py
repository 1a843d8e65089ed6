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
