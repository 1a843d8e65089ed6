"""What the request bodies of all generating endpoints share.

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
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pyserve.schemas.unsupported import UNSUPPORTED, Unsupported, first_unsupported

MAX_TEXT_BYTES = 2 * 1024 * 1024
MAX_PROMPTS = 64
MAX_CHOICES = 64
MAX_LOGIT_BIAS = 1024
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


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise invalid("invalid_value", "must not contain the character U+0000")
    return value


def _shape(value: object) -> str | None:
    """The tag of a text (`<one>`) or a list (`<many>`)."""
    if isinstance(value, str):
        return "<one>"
    return "<many>" if isinstance(value, list) else None


def _token_biases(value: object) -> object:
    """Object keys are strings in JSON: turn those that are token ids into integers."""
    if isinstance(value, list):
        if value:
            raise invalid("unsupported_parameter", "must be an object: token id to bias")
        return {}
    if not isinstance(value, dict):
        return value
    if len(value) > MAX_LOGIT_BIAS:
        raise invalid("invalid_value", f"has {len(value)} entries, at most {MAX_LOGIT_BIAS}")
    for key in value:
        if not (key.isascii() and key.isdigit() and len(key) <= 10 and int(key) <= INT32_MAX):  # noqa: PLR2004
            raise invalid("invalid_value", 'keys must be token ids such as "50256"')
    return {int(key): bias for key, bias in value.items()}


ModelName = Annotated[str, Field(max_length=256), AfterValidator(_without_nul)]
TokenId = Annotated[int, Field(ge=0, le=INT32_MAX)]
MaxTokens = Annotated[int, Field(ge=1, le=INT32_MAX)]
NPredict = Annotated[int, Field(ge=-1, le=INT32_MAX)]
StopString = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_without_nul)]
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
LogitBias = Annotated[
    dict[TokenId, Annotated[float, Field(ge=-100, le=100)]],
    BeforeValidator(_token_biases),
    Field(
        json_schema_extra={
            "maxProperties": MAX_LOGIT_BIAS,
            "propertyNames": {"pattern": "^[0-9]{1,10}$"},
        }
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


class SamplingFields(RequestModel):
    """How tokens are chosen, on every generating endpoint. Absent: the engine's default."""

    unsupported: ClassVar[Unsupported] = UNSUPPORTED

    model: ModelName | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=INT32_MAX)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=65536)] | None = None
    logit_bias: LogitBias | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)] | None = None
    stop: Stop | None = None
    ignore_eos: bool | None = None


class StreamOptions(RequestModel):
    """Options of a streamed answer."""

    include_usage: bool | None = None


class StreamFields(SamplingFields):
    """Whether the answer comes as server-sent events."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _options_need_stream(self) -> StreamFields:
        if self.stream_options is not None and not self.stream:
            message = "is only allowed together with stream: true"
            raise invalid("invalid_value", message, "stream_options")
        return self

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


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
