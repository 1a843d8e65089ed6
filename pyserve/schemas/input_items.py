"""`input` of the Responses API: a text, or a list of items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, model_validator

from pyserve.schemas.chat import MAX_MESSAGES
from pyserve.schemas.common import Arguments, RequestModel, invalid, kind_of
from pyserve.schemas.fields.content import MAX_PARTS, PART_END, RefusalPart
from pyserve.schemas.response_tools import ResponseTools
from pyserve.schemas.unsupported import MESSAGE, FieldTable

CallId = Annotated[str, Field(min_length=1, max_length=256)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
ItemId = Annotated[str, Field(max_length=256)]
ItemStatus = Annotated[str, Field(max_length=64)]


class InputTextPart(RequestModel):
    """A part of a message: text."""

    type: Literal["input_text", "output_text"]
    text: str


def _part_tag(part: object) -> str | None:
    kind = kind_of(part)
    if kind in ("input_text", "output_text"):
        return "<text>"
    return "<refusal>" if kind == "refusal" else None


InputPart = Annotated[
    Annotated[InputTextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    Discriminator(
        _part_tag,
        custom_error_type="unsupported_content",
        custom_error_message='is not supported: only "input_text" and "output_text" are',
    ),
]


def _content_tag(content: object) -> str | None:
    if isinstance(content, str):
        return "<string>"
    return "<parts>" if isinstance(content, list) else None


InputContent = Annotated[
    Annotated[str, Tag("<string>")]
    | Annotated[
        list[InputPart], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True), Tag("<parts>")
    ],
    Discriminator(
        _content_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of text parts",
    ),
]


class Item(RequestModel):
    """What all items have in common. `id` and `status` are those of an answer sent back."""

    foreign: ClassVar[FieldTable] = MESSAGE

    id: ItemId | None = None
    status: ItemStatus | None = None


class InputMessage(Item):
    """One turn. phase: what an answer is, which is kept."""

    type: Literal["message"] | None = None
    role: Literal["developer", "system", "user", "assistant"]
    content: InputContent
    phase: Literal["commentary", "final_answer"] | None = None

    @property
    def text(self) -> str:
        """The content as one text, each part on lines of its own."""
        return joined(self.content)

    @property
    def texts(self) -> list[str]:
        """The texts of its parts."""
        return [self.content] if isinstance(self.content, str) else [p.text for p in self.content]


def joined(content: str | list[InputTextPart | RefusalPart]) -> str:
    """The content as one text."""
    return content if isinstance(content, str) else PART_END.join(part.text for part in content)


class FunctionCallItem(Item):
    """A function call of an earlier answer."""

    type: Literal["function_call"]
    call_id: CallId
    name: Name
    namespace: Name | None = None
    arguments: Arguments

    @property
    def text(self) -> str:
        return self.name + self.arguments


class CustomCallItem(Item):
    """A call of a custom tool in an earlier answer."""

    type: Literal["custom_tool_call"]
    call_id: CallId
    name: Name
    namespace: Name | None = None
    input: str

    @property
    def text(self) -> str:
        return self.name + self.input


class CallOutputItem(Item):
    """The output of a call. Without `call_id` the name tells whose it is."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: CallId | None = None
    name: Name | None = None
    output: InputContent

    @model_validator(mode="after")
    def _is_of_a_call(self) -> CallOutputItem:
        if self.call_id is None and self.name is None:
            raise invalid("missing_required_parameter", "needs the call_id or the name of a call")
        return self

    @property
    def text(self) -> str:
        return joined(self.output)


class BuiltInCallItem(Item):
    """A call of a shell or patch tool in an earlier answer: what was to be done, as JSON."""

    type: Literal["local_shell_call", "shell_call", "apply_patch_call"]
    call_id: CallId | None = None
    action: dict[str, Any] | None = None
    operation: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return json.dumps(self.action or self.operation or {}, ensure_ascii=False)


class BuiltInOutputItem(Item):
    """The output of such a call."""

    type: Literal["local_shell_call_output", "shell_call_output", "apply_patch_call_output"]
    call_id: CallId | None = None
    output: str | list[Any] | dict[str, Any] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.output, str):
            return self.output
        return json.dumps(self.output if self.output is not None else self.status or "")


class ReasoningText(RequestModel):
    """Reasoning, or a summary of it."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(Item):
    """The reasoning of an earlier answer. Encrypted content of another server is not read."""

    type: Literal["reasoning"]
    content: Annotated[list[ReasoningText], Field(max_length=MAX_PARTS)] | None = None
    summary: Annotated[list[ReasoningText], Field(max_length=MAX_PARTS)] | None = None
    encrypted_content: str | None = None

    @property
    def text(self) -> str:
        """What is readable of it."""
        return "".join(part.text for part in self.content or self.summary or [])


class CompactionItem(Item):
    """A summary of what was said before, in the opaque form of the server that made it."""

    type: Literal["compaction", "compaction_summary"]
    encrypted_content: str

    @property
    def text(self) -> str:
        return self.encrypted_content


class CompactionTrigger(Item):
    """Asks for a summary of all items before it in place of an answer; it comes last."""

    type: Literal["compaction_trigger"]

    @property
    def text(self) -> str:
        return ""


class AdditionalToolsItem(Item):
    """More tools, offered as those of the request are."""

    type: Literal["additional_tools"]
    tools: ResponseTools

    @property
    def text(self) -> str:
        return ""


class ItemReference(RequestModel):
    """A stored item, by its id."""

    type: Literal["item_reference"] | None = None
    id: Annotated[str, Field(min_length=1, max_length=256)]

    @property
    def text(self) -> str:
        return ""


class SkippedItem(Item):
    """An item of a tool that is not here: it is no part of the prompt."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1, max_length=64)]

    @property
    def text(self) -> str:
        return ""


_TAGS = {
    "message": "<message>",
    "function_call": "<call>",
    "custom_tool_call": "<custom_call>",
    "function_call_output": "<output>",
    "custom_tool_call_output": "<output>",
    "reasoning": "<reasoning>",
    "local_shell_call": "<built_in>",
    "shell_call": "<built_in>",
    "apply_patch_call": "<built_in>",
    "local_shell_call_output": "<built_in_output>",
    "shell_call_output": "<built_in_output>",
    "apply_patch_call_output": "<built_in_output>",
    "compaction": "<compaction>",
    "compaction_summary": "<compaction>",
    "compaction_trigger": "<trigger>",
    "additional_tools": "<tools>",
    "item_reference": "<reference>",
}


def _item_tag(item: object) -> str | None:
    kind = kind_of(item)
    if kind is None:
        is_reference = isinstance(item, dict) and "id" in item and "role" not in item
        return "<reference>" if is_reference or isinstance(item, ItemReference) else "<message>"
    return _TAGS.get(kind, "<skipped>") if isinstance(kind, str) else None


InputItem = Annotated[
    Annotated[InputMessage, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<call>")]
    | Annotated[CustomCallItem, Tag("<custom_call>")]
    | Annotated[CallOutputItem, Tag("<output>")]
    | Annotated[BuiltInCallItem, Tag("<built_in>")]
    | Annotated[BuiltInOutputItem, Tag("<built_in_output>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")]
    | Annotated[CompactionItem, Tag("<compaction>")]
    | Annotated[CompactionTrigger, Tag("<trigger>")]
    | Annotated[AdditionalToolsItem, Tag("<tools>")]
    | Annotated[ItemReference, Tag("<reference>")]
    | Annotated[SkippedItem, Tag("<skipped>")],
    Discriminator(
        _item_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be an object with the `type` of an item",
    ),
]


def _input_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<items>" if isinstance(value, list) else None


InputItems = Annotated[list[InputItem], Field(max_length=MAX_MESSAGES, fail_fast=True)]
Input = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[InputItems, Tag("<items>")],
    Discriminator(
        _input_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of items",
    ),
]

_ITEMS: TypeAdapter[list[InputItem]] = TypeAdapter(list[InputItem])


def parsed_items(items: Sequence[Mapping[str, Any]]) -> list[InputItem]:
    """Items that were stored, and so are known to be right."""
    return _ITEMS.validate_python(list(items))
