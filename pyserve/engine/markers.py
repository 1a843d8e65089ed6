# ruff: noqa: RUF001
"""Tags and markers by which models set reasoning and tool calls apart from text.

Where they are control tokens of the vocabulary, the engine gives them out as text all the same.
"""

from __future__ import annotations

import re

THINKING_TAGS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
)
CALL_MARKERS = (
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "<|python_tag|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
)
# Of formats whose messages have headers: what no template's words tell from other control tokens.
HEADER_MARKERS = (
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|constrain|>",
    "<|end|>",
    "<|eom|>",
    "<|begin|>",
    "<|content|>",
    "<|open|>",
    "<|close|>",
    "<|sep|>",
    "<|end_of_msg|>",
    "<|message_sep|>",
    "<|role_sep|>",
)
# Of templates that make their marks of parts.
_MADE = ("think", "tool_calls", "tool_call", "arg_key", "arg_value")
MADE_MARKERS = (
    *(f"<{slash}{name}:opensource>" for name in _MADE for slash in ("", "/")),
    "<tool_sep:opensource>",
)
SHOWN_TOKENS = (
    *(tag for pair in THINKING_TAGS for tag in pair),
    *CALL_MARKERS,
    *HEADER_MARKERS,
    *MADE_MARKERS,
)
_MARK = re.compile(r"\]<\][^<>\s]{1,32}\[>\[|<[^<>\s'{}]{1,64}>|\[/?[A-Z_]{2,32}\]")
_TELLING = re.compile(
    r"tool|call|python_|observation|think|thought|arg|action|invoke|param|func|channel|response|_text|dsml|quote|\[>\["
    r'|<\|"\|>',
    re.IGNORECASE,
)


def shown_marks(chat_template: str) -> tuple[str, ...]:
    """The texts in a template that look like marks of thoughts, texts, calls and arguments."""
    found = dict.fromkeys(_MARK.findall(chat_template))
    return tuple(mark for mark in found if _TELLING.search(mark))
