"""`input` of the Responses API: a text, or a list of items."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from pyserve.schemas.chat import MAX_MESSAGES
from pyserve.schemas.common import RequestModel
from pyserve.schemas.fields.content import MAX_PARTS, RefusalPart
from pyserve.schemas.unsupported import MESSAGE, FieldTable

CallId = Annotated[str, Field(min_length=1, max_length=256)]


class InputTextPart(RequestModel):
    """A part of a message: text."""

    foreign: ClassVar[FieldTable] = MESSAGE

    type: Literal["input_text", "output_text"]
    text: str


def _part_tag(part: object) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
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


class InputMessage(RequestModel):
    """One turn. `id`, `status` and `phase` of an answer that is sent back are ignored."""

    foreign: ClassVar[FieldTable] = MESSAGE

    type: Literal["message"] | None = None
    role: Literal["developer", "system", "user", "assistant"]
    content: InputContent

    @property
    def text(self) -> str:
        """The content as one text; parts follow each other without a separator."""
        return self.content if isinstance(self.content, str) else _joined(self.content)


def _joined(parts: list[InputTextPart | RefusalPart]) -> str:
    return "".join(part.text for part in parts)


class FunctionCallItem(RequestModel):
    """A function call of an earlier answer."""

    foreign: ClassVar[FieldTable] = MESSAGE

    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str

    @property
    def text(self) -> str:
        return self.name + self.arguments


class FunctionCallOutputItem(RequestModel):
    """The output of a function call."""

    foreign: ClassVar[FieldTable] = MESSAGE

    type: Literal["function_call_output"]
    call_id: CallId
    output: InputContent

    @property
    def text(self) -> str:
        return self.output if isinstance(self.output, str) else _joined(self.output)


class ReasoningText(RequestModel):
    """Reasoning, or a summary of it."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(RequestModel):
    """The reasoning of an earlier answer. Encrypted content is not read."""

    foreign: ClassVar[FieldTable] = MESSAGE

    type: Literal["reasoning"]
    content: Annotated[list[ReasoningText], Field(max_length=MAX_PARTS)] | None = None
    summary: Annotated[list[ReasoningText], Field(max_length=MAX_PARTS)] | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content or self.summary or [])


def _item_tag(item: object) -> str | None:
    kind = item.get("type") if isinstance(item, dict) else None
    return "<message>" if kind is None else f"<{kind}>"


InputItem = Annotated[
    Annotated[InputMessage, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<function_call>")]
    | Annotated[FunctionCallOutputItem, Tag("<function_call_output>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")],
    Discriminator(
        _item_tag,
        custom_error_type="unsupported_content",
        custom_error_message="is of a type that is not supported: only messages, function calls,"
        " their outputs and reasoning are",
    ),
]


def _input_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<items>" if isinstance(value, list) else None


Input = Annotated[
    Annotated[str, Tag("<string>")]
    | Annotated[
        list[InputItem],
        Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True),
        Tag("<items>"),
    ],
    Discriminator(
        _input_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of items",
    ),
]
