"""Content of messages and of `prediction`: a text, or a list of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import RequestModel, check_text_size

MAX_PARTS = 256
PART_END = "\n"  # parts are texts of their own: words of two must not become one


class TextPart(RequestModel):
    """A part of a message: text."""

    type: Literal["text"]
    text: str


class RefusalPart(RequestModel):
    """A part of an earlier answer that was a refusal."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


def _part_tag(part: object) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    return f"<{kind}>" if kind in ("text", "refusal") else None


Part = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    Discriminator(
        _part_tag,
        custom_error_type="unsupported_content",
        custom_error_message='is not supported: only parts of type "text" are',
    ),
]


Parts = Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True)]


def _content_tag(content: object) -> str | None:
    if isinstance(content, str):
        return "<string>"
    return "<parts>" if isinstance(content, list) else None


Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[Parts, Tag("<parts>")],
    Discriminator(
        _content_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of text parts",
    ),
]


def content_text(content: Content, separator: str = PART_END) -> str:
    """The content as one text, with `separator` between its parts."""
    if isinstance(content, str):
        return content
    return separator.join(part.text for part in content)


def as_content(texts: Sequence[str]) -> dict[str, Any]:
    """Texts as the content of a message for chat templates, and as parts if there are several."""
    joined: dict[str, Any] = {"content": PART_END.join(texts)}
    return {**joined, "parts": list(texts)} if len(texts) > 1 else joined


class Prediction(RequestModel):
    """An expected answer: output that matches it is faster; the result is the same."""

    type: Literal["content"]
    content: Content

    @property
    def text(self) -> str:
        """The content as one text; its parts are pieces of one."""
        return content_text(self.content, "")


class PredictionFields(RequestModel):
    """A request with an expected answer."""

    prediction: Prediction | None = None

    @model_validator(mode="after")
    def _prediction_is_bounded(self) -> PredictionFields:
        check_text_size(len(self.predicted.encode()), "prediction")
        return self

    @property
    def predicted(self) -> str:
        """The prediction as one text; empty: none."""
        return "" if self.prediction is None else self.prediction.text
