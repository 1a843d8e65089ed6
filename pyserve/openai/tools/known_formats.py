# ruff: noqa: RUF001
"""The formats that a template does not tell when it is rendered, and the signs of them.

They are used where nothing can be derived: templates that drop earlier calls, or describe calls in
words alone, and engines that render nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeVar

from pyserve.openai.tools.formats import (
    GENERIC,
    HOLE,
    TAGGED,
    AnswerFormat,
    CallFormat,
    Channels,
)

T = TypeVar("T")

MAX_KNOWN = 256
_SEPARATED = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>"
# Efforts that templates pass on as they are to models that know three levels.
LEVELS = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
HARMONY = AnswerFormat(
    name="harmony",
    origin="known",
    thinking=("<|channel|>analysis<|message|>", "<|end|>"),
    thoughts_key="thinking",
    efforts=LEVELS,
    calls=CallFormat(
        name="harmony",
        kind="named",
        trigger="<|channel|>commentary to=functions.",
        has_one_call=True,
        can_repeat=False,
    ),
    channels=Channels(
        opens=("<|start|>", "<|channel|>"),
        message="<|message|>",
        ends=("<|end|>", "<|return|>", "<|call|>"),
        starts=("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", " to=", "to="),
        marks=("<|constrain|>",),
        thought=r"<\|channel\|>\s*analysis",
        call=r"to=(?!assistant\b)(?:functions\.)?([\w.:/-]+)",
        text_headers=(
            "<|channel|>final<|message|>",
            "<|channel|>final <|constrain|>json<|message|>",
        ),
        next_header="<|start|>assistant",
        call_headers=(
            f"<|channel|>commentary to=functions.{HOLE} <|constrain|>json<|message|>",
            f" to=functions.{HOLE}<|channel|>commentary json<|message|>",
            f" to=functions.{HOLE}<|channel|>commentary <|constrain|>json<|message|>",
        ),
    ),
)
# The texts that a template must hold to be of a format; the first match counts.
_CHANNELED: tuple[tuple[tuple[str, ...], AnswerFormat], ...] = (
    (("<|channel|>analysis<|message|>", "<|call|>"), HARMONY),
    (
        (">>>all", ">>>${recipient}"),
        AnswerFormat(
            name="functionary-v3.2",
            origin="known",
            calls=CallFormat(name="functionary-v3.2", kind="named", trigger=">>>"),
            channels=Channels(
                opens=(">>>",),
                message="\n",
                text=r"^all$",
                call=r"^([\w.:/-]+)$",
                text_headers=("all\n",),
                next_header=">>>",
                call_headers=(f"{HOLE}\n",),
            ),
        ),
    ),
    (
        ("to=self<|message|>", "<atem:invoke name=", "<|eom|>"),
        AnswerFormat(
            name="muse",
            origin="known",
            thinking=("to=self<|message|>", "<|eom|>"),
            efforts=LEVELS,
            calls=CallFormat(
                name="muse",
                kind="tagged",
                trigger="<atem:function_calls>",
                before='\n<atem:invoke name="',
                name_end='">\n',
                key_begin='<atem:parameter name="',
                key_end='">',
                value_end="</atem:parameter>",
                has_line_breaks=False,
                arguments_end="\n</atem:invoke>",
                after="\n</atem:function_calls>",
                can_repeat=False,
            ),
            channels=Channels(
                opens=("<|start|>",),
                message="<|message|>",
                ends=("<|eom|>", "<|eot|>"),
                starts=("<|start|>", "<|message|>", " to=", "to="),
                thought=r"to=self\b",
                call=r"to=(?!(?:user|self|commentary)\b)([\w.:/-]+)",
                has_calls_inside=True,
                text_headers=(" to=user<|message|>",),
                next_header="<|start|>assistant",
                call_headers=(f" to={HOLE}<|message|>",),
            ),
        ),
    ),
    (
        ("<|tool_call:begin|>", "<|tool_call:args|>", "<|think|>"),
        AnswerFormat(
            name="solar",
            origin="known",
            thinking=("<|think|>", "<|end|>"),
            thoughts_key="reasoning",
            is_repeated=True,
            marks=("<|begin|>assistant", "<|begin|>", "<|content|>", "<|end|>", "<|calls|>"),
            text_begin="<|content|>",
            calls=CallFormat(
                name="solar",
                kind="named",
                trigger="<|tool_calls|>",
                before=f"<|tool_call:begin|>{HOLE}<|tool_call:name|>",
                name_end="<|tool_call:args|>",
                between=f"<|tool_call:end|><|tool_call:begin|>{HOLE}<|tool_call:name|>",
                after="<|tool_call:end|>",
            ),
        ),
    ),
    (
        ("<|open|>", "<|close|>", "<|sep|>"),
        AnswerFormat(
            name="kimi-k3",
            origin="known",
            thinking=("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
            is_repeated=True,
            text_begin="<|open|>response<|sep|>",
            marks=(
                "<|open|>response<|sep|>",
                "<|close|>response<|sep|>",
                "<|close|>message<|sep|>",
                '<|open|>message role="assistant"<|sep|>',
                "<|end_of_msg|>",
            ),
            calls=CallFormat(
                name="kimi-k3",
                kind="tagged",
                trigger="<|open|>tools<|sep|>",
                before='<|open|>call tool="',
                name_end=f'" index="{HOLE}"<|sep|>',
                key_begin='<|open|>argument key="',
                key_end=f'" type="{HOLE}"<|sep|>',
                types={
                    "string": "string",
                    "number": "number",
                    "integer": "number",
                    "boolean": "boolean",
                    "null": "null",
                    "object": "object",
                    "array": "array",
                },
                value_end="<|close|>argument<|sep|>",
                has_line_breaks=False,
                arguments_end="<|close|>call<|sep|>",
                between='<|open|>call tool="',
                after="<|close|>tools<|sep|>",
            ),
        ),
    ),
    (
        ("[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:"),
        AnswerFormat(
            name="apriel",
            origin="known",
            thinking=("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
            marks=("[END FINAL RESPONSE]", "[BEGIN FINAL RESPONSE]"),
            calls=CallFormat(
                name="apriel",
                trigger="<tool_calls>",
                before="[",
                between=", ",
                after="]</tool_calls>",
            ),
        ),
    ),
)
# Templates that drop calls: the last of each row's signs are of the descriptions of tools.
_UNSHOWN: tuple[tuple[tuple[str, ...], CallFormat], ...] = (
    (
        ("<|tool|>", "<|/tool|>", "['tools']"),
        CallFormat(
            name="phi-4-mini",
            is_unshown=True,
            has_message_tools=True,
            trigger="<|tool_call|>",
            before="[",
            between=", ",
            after="]<|/tool_call|>",
        ),
    ),
    (
        ("List of tools: ", "<|im_start|>"),
        CallFormat(
            name="lfm2",
            kind="pythonic",
            is_unshown=True,
            trigger="<|tool_call_start|>",
            before="[",
            between=", ",
            after="]<|tool_call_end|>",
        ),
    ),
)
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
        ("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
        CallFormat(
            name="mistral-ids",
            kind="named",
            trigger="[TOOL_CALLS]",
            name_end=f"[CALL_ID]{HOLE}[ARGS]",
            has_short_ids=True,
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
        CallFormat(
            name="granite",
            trigger="<|tool_call|>",
            before="[",
            between=", ",
            after="]",
            is_unshown=True,
        ),
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
    *(
        (
            (sign, '"parameters"'),
            CallFormat(name="llama", trigger="", arguments_key="parameters", can_repeat=False),
        )
        for sign in ("<|start_header_id|>", "<|python_start|>")
    ),
)
# What models write in place of the marks around runs.
_VARIANTS = {
    "<|tool_calls_section_begin|>": ("<|tool_call_section_begin|>", "<|tool_call_section_end|>"),
    "<｜DSML｜": tuple(
        f"{slash}｜DSML｜{word}>"
        for word in ("function_calls", "tool_calls", "toolcalls")
        for slash in ("<", "</")
    ),
}
# Tags around the text of an answer, and the signs of them in a template.
_ANSWER_TAGS: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (("<response></response>",), ("<response>", "</response>")),  # Granite
    (("<answer>", "</answer>"), ("<answer>", "</answer>")),  # Hunyuan
)
# What ends answers that are calls, by what ends others.
_ENDS = {"<|eot_id|>": "<|eom_id|>", "<|eot|>": "<|eom|>"}
SPECIAL_FORMATS = tuple(known for _, known in _CHANNELED)
KNOWN_FORMATS = (
    *(layout for _, layout in _KNOWN),
    *(layout for _, layout in _UNSHOWN),
    *(known.calls for known in SPECIAL_FORMATS),
)


@functools.lru_cache(MAX_KNOWN)
def special_format(chat_template: str) -> AnswerFormat | None:
    """The format of a template that cannot be understood by its renderings; None: it can be."""
    return _first(_CHANNELED, chat_template)


def unshown_format(chat_template: str) -> CallFormat | None:
    """The format of calls of a template that shows tools, but no earlier calls."""
    return _first(_UNSHOWN, chat_template)


def call_format(chat_template: str) -> CallFormat:
    """The format of calls that a template's text shows; GENERIC if it shows no known one."""
    if "tools" not in chat_template:
        return GENERIC
    return signed_format(chat_template) or GENERIC


def signed_format(template: str) -> CallFormat | None:
    """The known format with signs in this text."""
    return _first(_KNOWN, template)


@functools.lru_cache(MAX_KNOWN)
def _by_trigger(trigger: str) -> tuple[CallFormat, ...]:
    return tuple(one for one in KNOWN_FORMATS if trigger and one.trigger == trigger)


def siblings(calls: CallFormat) -> tuple[CallFormat, ...]:
    """The other known formats whose runs begin as those of `calls`: models mix them up."""
    own = (calls.kind, calls.before.split(), calls.name_end.split())
    return tuple(
        one
        for one in _by_trigger(calls.trigger)
        if (one.kind, one.before.split(), one.name_end.split()) != own
    )


def answer_tags(chat_template: str) -> tuple[str, str] | None:
    """The tags around text that a template tells its model to write."""
    return _first(_ANSWER_TAGS, chat_template)


def other_ends(chat_template: str) -> list[str]:
    """Marks that end answers beside the one that the template shows."""
    return [other for end, other in _ENDS.items() if end in chat_template]


def variant_marks(calls: CallFormat) -> tuple[str, ...]:
    """Marks that a model may write in place of those around its runs of calls."""
    found = (marks for begin, marks in _VARIANTS.items() if calls.trigger.startswith(begin))
    return tuple(mark for marks in found for mark in marks if mark != calls.trigger)


def _first(table: Sequence[tuple[tuple[str, ...], T]], template: str) -> T | None:
    for signs, known in table:
        if all(sign in template for sign in signs):
            return known
    return None
