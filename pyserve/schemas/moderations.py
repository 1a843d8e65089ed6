"""Request body of POST /v1/moderations."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import (
    MAX_PROMPTS,
    ModelName,
    RequestModel,
    check_text_size,
    invalid,
)
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.unsupported import VECTORS, FieldTable


class ModerationText(RequestModel):
    """A part of one input. Pictures are refused."""

    type: Literal["text"]
    text: str

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("type") == "image_url":
            raise invalid("unsupported_content", "is a picture: only texts are judged here")
        return data


def _shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<text>"
    if not isinstance(value, list):
        return None
    return "<parts>" if value and isinstance(value[0], dict | ModerationText) else "<texts>"


Input = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[
        list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True), Tag("<texts>")
    ]
    | Annotated[
        list[ModerationText],
        Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True),
        Tag("<parts>"),
    ],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string, a list of strings or a list of text parts",
    ),
]


class ModerationRequest(SchedulingFields):
    """Texts to judge, each by itself; parts are one text."""

    foreign: ClassVar[FieldTable] = VECTORS

    model: ModelName | None = None
    input: Input
    user: Label | None = None

    @model_validator(mode="after")
    def _text_is_bounded(self) -> ModerationRequest:
        check_text_size(sum(len(text.encode()) for text in self.texts), "input")
        return self

    @property
    def texts(self) -> list[str]:
        """What is judged: a result for each."""
        if isinstance(self.input, str):
            return [self.input]
        parts = [part.text for part in self.input if isinstance(part, ModerationText)]
        return ["\n".join(parts)] if parts else [str(text) for text in self.input]
