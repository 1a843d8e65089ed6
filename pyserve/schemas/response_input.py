"""The input of the Responses API: a text, or items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pyserve.schemas.chat import MAX_MESSAGES, MAX_PARTS, RefusalPart
from pyserve.schemas.common import RequestModel, invalid


class InputTextPart(RequestModel):
    """A part of a message: text."""

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

    type: Literal["message"] | None = None
    role: Literal["developer", "system", "user", "assistant"]
    content: InputContent

    @property
    def text(self) -> str:
        """The content as one text; parts follow each other without a separator."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


def _only_messages(item: object) -> object:
    """Other items need tools, or something that was stored."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind not in (None, "message"):
        message = 'is not supported: only items of type "message" are (there are no tools yet)'
        raise invalid("unsupported_content", message)
    return item


InputItem = Annotated[InputMessage, BeforeValidator(_only_messages)]


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
