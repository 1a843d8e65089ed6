"""Base class and shared types of the request bodies of all generating endpoints.

Types are strict: `true` and `"5"` are no integers, nor is `5.0`. Every optional field may be null,
which means absent. Unknown fields are ignored. A field that would change the answer and is not
built yet is refused: see `RequestModel.unsupported`.

Unions carry tags in angle brackets; `validate` leaves them out of the reported path.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pyserve.schemas.unsupported import Unsupported, first_unsupported

MAX_TEXT_BYTES = 2 * 1024 * 1024
MAX_PROMPTS = 64
MAX_CHOICES = 64
OWN_CODES = frozenset(
    {
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "unsupported_content",
        "unsupported_parameter",
    }
)
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
UNLIMITED = -1  # of n_predict


def invalid(code: str, message: str, param: str | None = None) -> PydanticCustomError:
    """A validation error with a code of ours (OWN_CODES); the message follows the field's name.

    `param` replaces the path where validation stood.
    """
    text = message.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError(code, text, {"param": param} if param else None)


def without_nul(value: str) -> str:
    if "\0" in value:
        raise invalid("invalid_value", "must not contain the character U+0000")
    return value


def _shape(value: object) -> str | None:
    """The tag of a text (`<one>`) or a list (`<many>`)."""
    if isinstance(value, str):
        return "<one>"
    return "<many>" if isinstance(value, list) else None


ModelName = Annotated[str, Field(max_length=256), AfterValidator(without_nul)]
TokenId = Annotated[int, Field(ge=0, le=INT32_MAX)]
MaxTokens = Annotated[int, Field(ge=1, le=INT32_MAX)]
NPredict = Annotated[int, Field(ge=-1, le=INT32_MAX)]
StopString = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(without_nul)]
Stop = Annotated[
    Annotated[StopString, Tag("<one>")]
    | Annotated[list[StopString], Field(max_length=16, fail_fast=True), Tag("<many>")],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of strings",
    ),
]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
TextOrTexts = Annotated[
    Annotated[str, Tag("<one>")] | Annotated[Texts, Tag("<many>")],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of strings",
    ),
]


class RequestModel(BaseModel):
    """Base of all request objects: strict, immutable, unknown fields ignored.

    unsupported: fields that are refused unless null or one of the listed neutral values.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    unsupported: ClassVar[Unsupported] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, data: Any) -> Any:
        if isinstance(data, dict):
            name = first_unsupported(data, cls.unsupported)
            if name is not None:
                raise invalid("unsupported_parameter", "is not supported by this server", name)
        return data


def check_text_size(n_bytes: int, param: str) -> None:
    """Refuse a request whose texts are together larger than MAX_TEXT_BYTES of UTF-8."""
    if n_bytes > MAX_TEXT_BYTES:
        message = f"has {n_bytes} bytes of text, at most {MAX_TEXT_BYTES}"
        raise invalid("invalid_value", message, param)


def check_n_choices(n_prompts: int, n: int | None, param: str = "n") -> None:
    """Refuse a request for more than MAX_CHOICES answers in all; `param` is where n was given."""
    n_choices = n_prompts * (n or 1)
    if n_choices > MAX_CHOICES:
        message = f"asks for {n_choices} choices ({n_prompts} x {n}), at most {MAX_CHOICES}"
        raise invalid("invalid_value", message, param)


def as_list(value: str | list[str]) -> list[str]:
    """One text or several as a list."""
    return [value] if isinstance(value, str) else value
