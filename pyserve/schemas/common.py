"""Base class and shared types of the request bodies of all generating endpoints.

Types are strict: `true` and `"5"` are no integers. (`5.0` is one: `web/request/json_gate.py`.)
Every optional field may be null, which means absent. What becomes of fields that a schema does not
have is decided in `unsupported.py`; they are collected where validation is given `ForeignFields`.

Unions carry tags in angle brackets; `validate` leaves them out of the reported path.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pyserve.schemas.foreign import ForeignFields
from pyserve.schemas.unsupported import FieldTable, Unsupported, first_unsupported

MAX_STOPS = 64
MAX_TEXT_BYTES = 2 * 1024 * 1024
MAX_PROMPTS = 64
MAX_CHOICES = 128
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
UNLIMITED = -1


def invalid(
    code: str, message: str, param: str | None = None, *, below: str | None = None
) -> PydanticCustomError:
    """A validation error with a code of ours (OWN_CODES); the message follows the field's name.

    `param` replaces the path where validation stood, `below` is appended to it.
    """
    text = message.replace("{", "{{").replace("}", "}}")
    context = {"param": param, "below": below}
    return PydanticCustomError(code, text, {key: name for key, name in context.items() if name})


def without_nul(value: str) -> str:
    if "\0" in value:
        raise invalid("invalid_value", "must not contain the character U+0000")
    return value


def kind_of(value: object) -> object:
    """The `type` of an object, which may be validated already."""
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


def _shape(value: object) -> str | None:
    """The tag of a text (`<one>`) or a list (`<many>`)."""
    if isinstance(value, str):
        return "<one>"
    return "<many>" if isinstance(value, list) else None


def _as_json(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


ModelName = Annotated[str, Field(max_length=256), AfterValidator(without_nul)]
# The arguments of a call, a text; some clients send the object itself.
Arguments = Annotated[
    str,
    BeforeValidator(_as_json),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
TokenId = Annotated[int, Field(ge=0, le=INT32_MAX)]
MaxTokens = Annotated[int, Field(ge=-1, le=INT32_MAX)]  # -1: no limit, 0: the prompt alone
StopString = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(without_nul)]
Stop = Annotated[
    Annotated[StopString, Tag("<one>")]
    | Annotated[list[StopString], Field(max_length=MAX_STOPS, fail_fast=True), Tag("<many>")],
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
    """Base of all request objects: strict, immutable; null is absent.

    foreign: what becomes of fields of other servers where the schema does not have them; a name
    that is not in it either is named as well, except where all are kept. unsupported: fields that
    are refused unless null or one of the listed neutral values, also where the schema inherits
    them.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    foreign: ClassVar[FieldTable] = FieldTable()
    unsupported: ClassVar[Unsupported] = {}

    @classmethod
    def refused(cls) -> Unsupported:
        """All fields that are refused, with their neutral values."""
        return _refused(cls)

    @model_validator(mode="before")
    @classmethod
    def _known_and_not_null(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        if cls.unsupported or not _field_names(cls).issuperset(data):
            cls._check_names(data, info.context)
        if None in data.values():
            return {name: value for name, value in data.items() if value is not None}
        return data

    @classmethod
    def _check_names(cls, data: dict[str, Any], found: object) -> None:
        name = first_unsupported(data, cls.refused())
        if name is not None:
            message = "is not supported by this server"
            raise invalid("unsupported_parameter", message, below=name)
        if isinstance(found, ForeignFields) and cls.model_config["extra"] != "allow":
            foreign = data.keys() - _field_names(cls) - cls.refused().keys()
            found.add(cls.__name__, data, foreign, cls.foreign.named)


class RenamedFields(RequestModel):
    """Fields that are other names of fields; where one is given its value is that of both."""

    other_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="after")
    def _under_one_name(self) -> Self:
        update: dict[str, Any] = {}
        for other, name in _other_names(type(self)).items():
            value, own = getattr(self, other), update.get(name, getattr(self, name))
            if value is None:
                continue
            if own is not None and own != value:
                message = f"means the same as {name}, and has another value"
                raise invalid("invalid_value", message, other)
            update[name] = value
        return self.model_copy(update=update) if update else self


@functools.cache
def _field_names(model: type[RequestModel]) -> frozenset[str]:
    """The fields by the names that requests use."""
    return frozenset(field.alias or name for name, field in model.model_fields.items())


@functools.cache
def _other_names(model: type[RenamedFields]) -> Mapping[str, str]:
    """Those of the model and of all that it is made of."""
    bases = [base for base in reversed(model.__mro__) if issubclass(base, RenamedFields)]
    return {other: name for base in bases for other, name in base.other_names.items()}


@functools.cache
def _refused(model: type[RequestModel]) -> Unsupported:
    own = _field_names(model)
    table = {name: neutral for name, neutral in model.foreign.refused.items() if name not in own}
    return {**table, **model.unsupported}


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


def token_limit(*given: int | None) -> int | None:
    """The first limit that is given; None: there is none, or it is no limit."""
    limit = next((n_tokens for n_tokens in given if n_tokens is not None), UNLIMITED)
    return None if limit == UNLIMITED else limit


def as_list(value: str | list[str]) -> list[str]:
    """One text or several as a list."""
    return [value] if isinstance(value, str) else value
