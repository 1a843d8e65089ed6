# ruff: noqa: RUF001
"""The table of tool call formats, and which one a chat template uses.

A run of calls is  trigger before call (between call)* after  and a call is one of

  object    {"name": "f", "arguments": {...}}
  named     f<name_end>{...}
  tagged    f<name_end>(<key_begin>name<key_end>value<value_end>)*<arguments_end>

White space in all but `trigger` and `value_end` may be more or less in an answer.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve.models.profile import CallProfile


class CallFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A format of tool calls.

    trigger: what begins a run in an answer; "": calls are the whole answer, or none of it.
    between: what separates the calls of a run; None: each call is a run of its own.
    name_key, arguments_key: of an `object` call; has_arguments_first: their order.
    name_end: between the name and the arguments of others.
    key_begin ... arguments_end: of a `tagged` one, whose values are JSON, but texts as they are.
    is_generic: the template knows no tools, so they are described in the system message.
    has_short_ids: the template takes ids of nine letters and digits only.
    """

    name: str
    kind: Literal["object", "named", "tagged"] = "object"
    trigger: str
    before: str = ""
    between: str | None = None
    after: str = ""
    name_key: str = "name"
    arguments_key: str = "arguments"
    has_arguments_first: bool = False
    name_end: str = ""
    key_begin: str = ""
    key_end: str = ""
    value_end: str = ""
    arguments_end: str = ""
    is_generic: bool = False
    has_short_ids: bool = False
    can_repeat: bool = True


TAGGED = CallFormat(name="tagged", trigger="<tool_call>", before="\n", after="\n</tool_call>")
GENERIC = msgspec.structs.replace(TAGGED, name="generic", is_generic=True)
_SEPARATED = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>"
# The texts that a template must hold to be of a format; the first match counts.
_KNOWN: tuple[tuple[tuple[str, ...], CallFormat], ...] = (
    (
        ("<｜tool▁calls▁begin｜>", "function<｜tool▁sep｜>", "```json"),
        CallFormat(
            name="deepseek-r1",
            kind="named",
            trigger="<｜tool▁calls▁begin｜>",
            before=_SEPARATED,
            name_end="\n```json\n",
            between=f"\n```<｜tool▁call▁end｜>\n{_SEPARATED}",
            after="\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
    ),
    (
        ("<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>"),
        CallFormat(
            name="deepseek-v3.1",
            kind="named",
            trigger="<｜tool▁calls▁begin｜>",
            before="<｜tool▁call▁begin｜>",
            name_end="<｜tool▁sep｜>",
            between="<｜tool▁call▁end｜><｜tool▁call▁begin｜>",
            after="<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ),
    ),
    (
        ("[TOOL_CALLS]", "[ARGS]"),
        CallFormat(
            name="mistral-args",
            kind="named",
            trigger="[TOOL_CALLS]",
            name_end="[ARGS]",
            has_short_ids=True,
        ),
    ),
    (
        ("[TOOL_CALLS]",),
        CallFormat(
            name="mistral",
            trigger="[TOOL_CALLS]",
            before="[",
            between=", ",
            after="]",
            has_short_ids=True,
        ),
    ),
    (
        ("<|tool_call|>", "<|/tool_call|>"),
        CallFormat(
            name="phi",
            trigger="<|tool_call|>",
            before="[",
            between=", ",
            after="]<|/tool_call|>",
        ),
    ),
    (
        ("<|tool_call|>",),
        CallFormat(name="granite", trigger="<|tool_call|>", before="[", between=", ", after="]"),
    ),
    (
        ("<tool_call>", "<function=", "<parameter="),
        CallFormat(
            name="qwen-coder",
            kind="tagged",
            trigger="<tool_call>",
            before="\n<function=",
            name_end=">\n",
            key_begin="<parameter=",
            key_end=">",
            value_end="</parameter>",
            arguments_end="\n</function>",
            after="\n</tool_call>",
        ),
    ),
    (
        ("<tool_call>", "<arg_key>", "<arg_value>"),
        CallFormat(
            name="glm",
            kind="tagged",
            trigger="<tool_call>",
            name_end="\n",
            key_begin="<arg_key>",
            key_end="</arg_key>\n<arg_value>",
            value_end="</arg_value>",
            arguments_end="\n</tool_call>",
        ),
    ),
    (("<tool_call>",), TAGGED),
    (
        ("<|python_tag|>", '"parameters"'),
        CallFormat(name="llama", trigger="", arguments_key="parameters", can_repeat=False),
    ),
    (
        ("<|start_header_id|>", '"parameters"'),
        CallFormat(name="llama", trigger="", arguments_key="parameters", can_repeat=False),
    ),
)
BARE = CallFormat(name="bare", trigger="", can_repeat=False)  # nothing but the JSON object
KNOWN_FORMATS = tuple(layout for _, layout in _KNOWN)


def call_format(chat_template: str) -> CallFormat:
    """The format that a chat template uses; GENERIC if it uses no known one."""
    if "tools" not in chat_template:
        return GENERIC
    return _known_format(chat_template) or GENERIC


def configured_format(template: str, calls: CallProfile) -> CallFormat:
    """The format of a model whose configuration has a template that shows functions."""
    layout = _known_format(template)
    if layout is None:
        layout = msgspec.structs.replace(BARE, trigger=calls.prefix.strip())
    return msgspec.structs.replace(
        layout,
        name_key=calls.name_key or layout.name_key,
        arguments_key=calls.arguments_key or layout.arguments_key,
        has_arguments_first=calls.has_arguments_first,
    )


def _known_format(template: str) -> CallFormat | None:
    for signs, known in _KNOWN:
        if all(sign in template for sign in signs):
            return known
    return None
