"""How a model writes thoughts, text and tool calls: formats as data.

A run of calls is  trigger before call (between call)* after  and a call is one of

  object    {"name": "f", "arguments": {...}}
  keyed     {"f": {...}}
  named     f<name_end>{...}
  tagged    f<name_end>(<key_begin>name<key_end>value<value_end>)*<arguments_end>
  elements  f<name_end>(<key_begin>name<key_end>value<value_end>name<key_end>)*<arguments_end>
  pythonic  f(name='text', other=[1, True])
  quoted    f{name:<quote>text<quote>,other:[1,true]}

White space in all but `trigger` and `value_end` may be more or less in an answer. HOLE stands for
what differs from call to call and means nothing: ids and numbers. In a `key_end` it is the type.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from pyserve.models.profile import CallProfile

HOLE = "\0"
ITEM = "item"  # the name of the elements of a list, in formats that have such
Kind = Literal["object", "keyed", "named", "tagged", "elements", "pythonic", "quoted"]
Origin = Literal["derived", "known", "configured", "generic"]
# What begins and ends objects that are calls, where models write another's marks for their own.
_OTHER_MARKS = {
    "<tool_call>": "</tool_call>",
    "<|tool_call|>": "<|/tool_call|>",
    "[TOOL_CALLS]": "",
    "functools": "",
}
_TAG_BEGIN = re.compile(r"""(<\w+(?:=| name=)"?)\Z""")
# Texts that nobody writes but a model that means them: no word of a language looks like these.
_CONTROL = re.compile(
    r"\]<\][a-z]+\[>\[(?:</?[^<>\s]*>?)?"
    r"|</?[|\uff5c][^<>\s]*[|\uff5c>]>?|</?[^<>\s|]*[|\uff5c]>|</?[a-z_]+:[^<>\s]*>?"
    r"|<SPECIAL_\d+>|\[/?[A-Z]+_[A-Z_]+\]|\[/?(?:ARGS|THINK)\]"
)
_PARTS = re.compile(rf"({_CONTROL.pattern})|\s+")


class CallFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A format of tool calls.

    trigger: what begins a run in an answer; "": calls are the whole answer, or none of it.
    between: what separates the calls of a run; None: each call is a run of its own.
    name_key, arguments_key: of an `object` call; has_arguments_first: their order. id_key: of the
      id that the model writes before them, or after them if has_last_id; "" = none.
    name_end: between the name and the arguments of others.
    key_begin ... arguments_end: of a `tagged` one, whose values are JSON, but texts as they are.
    has_line_breaks: its texts stand between line breaks. types: what stands for the HOLE in
      `key_end`, by the JSON type. has_cdata: its texts may be CDATA sections.
    quote: around the texts of a `quoted` one.
    has_sorted_keys: arguments stand in the order of their names.
    is_generic: the template knows no tools, so they are described in the system message.
    has_short_ids: the template takes ids of nine letters and digits only.
    has_named_ids: ids are of the function's name and the place of the call.
    is_unshown: the template drops earlier calls, so they are text of the assistant.
    has_message_tools: the template shows tools as a text in the field `tools` of a message alone.
    has_one_call: the template shows one call of a message, so earlier ones become messages each.
    has_named_results: it wants the names of functions in their results.
    """

    name: str
    kind: Kind = "object"
    trigger: str
    before: str = ""
    between: str | None = None
    after: str = ""
    name_key: str = "name"
    arguments_key: str = "arguments"
    has_arguments_first: bool = False
    id_key: str = ""
    has_last_id: bool = False
    name_end: str = ""
    key_begin: str = ""
    key_end: str = ""
    value_end: str = ""
    arguments_end: str = ""
    has_line_breaks: bool = True
    types: dict[str, str] = {}
    has_cdata: bool = False
    quote: str = ""
    has_sorted_keys: bool = False
    is_generic: bool = False
    has_short_ids: bool = False
    has_named_ids: bool = False
    is_unshown: bool = False
    has_message_tools: bool = False
    has_one_call: bool = False
    has_named_results: bool = False
    can_repeat: bool = True

    @property
    def begin(self) -> str:
        """The mark that begins each call, in runs that have another trigger; "": none does."""
        first = self.before.lstrip()
        found = control_marks(first)
        is_first = bool(found) and first.startswith(found[0]) and found[0] != self.trigger.strip()
        return found[0] if self.trigger and is_first else ""

    @property
    def loose_begins(self) -> tuple[str, ...]:
        """Texts that begin a call without its trigger where an offered function's name follows."""
        if self.begin:
            return ()
        if self.trigger:
            found = _TAG_BEGIN.search(self.before)
            return (found[1],) if found else ()
        return ("[", "{") if self.opening else ()

    @property
    def other_marks(self) -> dict[str, str]:
        """Other models' marks before and after calls, where an offered function's name follows."""
        own = f"{self.trigger}{self.before}"
        return {
            begin: end for begin, end in _OTHER_MARKS.items() if self.opening and begin not in own
        }

    @property
    def opening(self) -> str:
        """The begin of a call that is an object, without white space; "": calls are none."""
        is_object = (
            self.kind == "object"
            and not self.has_arguments_first
            and (not self.id_key or self.has_last_id)
        )
        return f'{{"{self.name_key}":"' if is_object else ""

    @property
    def bare_begin(self) -> str:
        """The character that begins a run without a trigger."""
        return (self.before.strip() or "{")[0]

    @property
    def control_marks(self) -> tuple[str, ...]:
        """The texts in it that are marks wherever they stand."""
        texts = (
            self.trigger,
            self.before,
            self.between or "",
            self.after,
            self.name_end,
            self.key_begin,
            self.key_end,
            self.value_end,
            self.arguments_end,
            self.quote,
        )
        return control_marks(*texts)


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that are messages, each with a header that says what it is.

    An answer begins inside of a header, which `message` ends. opens: what begins another header.
    ends: what ends a message. starts: texts that the first header of an answer begins with, where
    it has one. marks: other marks in headers. thought, text, call: regular expressions for the
    headers; the group of `call` is the function. A call's arguments are JSON, unless
    has_calls_inside: they are runs of the call format.
    text_headers, call_headers: what such messages begin with at the begin of an answer, the most
      usual first (HOLE: the function). next_header: what stands before them after another message.
    """

    opens: tuple[str, ...]
    message: str
    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    thought: str = ""
    text: str = ""
    call: str = ""
    has_calls_inside: bool = False
    text_headers: tuple[str, ...]
    call_headers: tuple[str, ...]
    next_header: str = ""


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """What a template refuses, or silently leaves out, in earlier turns.

    first_answers: a conversation that an answer begins. lone_results: results without a call
    before them. asked_results: a question right after results. empty_answers: answers without
    text and calls. text_beside_calls: calls in a message with text, where messages of their own
    are shown.
    """

    first_answers: bool = False
    lone_results: bool = False
    asked_results: bool = False
    empty_answers: bool = False
    text_beside_calls: bool = False


class AnswerFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of a model's answers.

    origin: how it was recognized. thinking: the tags around thoughts, None: there are none that a
    template shows. is_repeated: thoughts may come anywhere in an answer.
    marks: stand around text, and are no part of it. text_begin: those before text that begins an
    answer. stops: texts that end an answer. thoughts_key: of earlier thoughts in messages.
    text_tags: plain tags that may stand around the text of an answer.
    hides_text: an earlier answer with thoughts would lose its text.
    efforts: the template's words for reasoning efforts that it does not know by OpenAI's names.
    refuses: what of earlier turns is arranged for it. turn_end: the mark after an answer that is
    text, "": it is no mark, or another part of an answer may follow it.
    """

    name: str
    origin: Origin
    calls: CallFormat
    thinking: tuple[str, str] | None = None
    is_repeated: bool = False
    marks: tuple[str, ...] = ()
    text_begin: str = ""
    text_tags: tuple[str, str] | None = None
    channels: Channels | None = None
    stops: tuple[str, ...] = ()
    hides_text: bool = False
    efforts: dict[str, str] = {}
    refuses: Refusals = Refusals()
    turn_end: str = ""
    thoughts_key: str = "reasoning_content"

    @property
    def all_marks(self) -> tuple[str, ...]:
        """What is never text, beside the tags of thoughts and the begin of calls."""
        found = dict.fromkeys((*self.marks, *self.calls.control_marks))
        found |= dict.fromkeys(control_marks(*(self.thinking or ())))
        return tuple(found)


TAGGED = CallFormat(name="tagged", trigger="<tool_call>", before="\n", after="\n</tool_call>")
GENERIC = msgspec.structs.replace(TAGGED, name="generic", is_generic=True)
BARE = CallFormat(name="bare", trigger="", can_repeat=False)  # nothing but the JSON object


def split_at_marks(text: str) -> list[str]:
    """The words and marks of `text`, without the white space between them."""
    return [part.strip() for part in _PARTS.split(text) if part and part.strip()]


def control_marks(*texts: str) -> tuple[str, ...]:
    """The marks in `texts` that are no words of any language: `<|call|>`, but not `<think>`."""
    found = (mark for text in texts for mark in _CONTROL.findall(text))
    return tuple(dict.fromkeys(found))


def configured_format(known: CallFormat | None, calls: CallProfile) -> CallFormat:
    """The format of a model whose configuration has a template that shows functions.

    known: the format that the text of this template shows, None: no known one.
    """
    layout = known or msgspec.structs.replace(BARE, trigger=calls.prefix.strip())
    return msgspec.structs.replace(
        layout,
        name_key=calls.name_key or layout.name_key,
        arguments_key=calls.arguments_key or layout.arguments_key,
        has_arguments_first=calls.has_arguments_first,
    )
