"""Sampling fields of all generating endpoints, with llama-server's names.

Empty lists and objects, and the values that switch a sampler off, are as good as absent; but
`samplers: []` uses no sampler at all, and an empty list of `dry_sequence_breakers` is no breakers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from pyserve.schemas.common import (
    INT32_MAX,
    INT64_MAX,
    MAX_CHOICES,
    MaxTokens,
    ModelName,
    RequestModel,
    TokenId,
    invalid,
    without_nul,
)
from pyserve.schemas.fields.context import ContextFields
from pyserve.schemas.fields.endings import EndingFields
from pyserve.schemas.fields.logit_bias import LogitBias
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.unsupported import GENERATION, STREAM_OPTIONS, FieldTable

MAX_SAMPLERS = 32
MAX_BREAKERS = 16
MAX_BREAKER_BYTES = 40
MAX_ALLOWED_TOKENS = 2**18
MAX_BAD_WORDS = 64
# Names without - and _, and llama.cpp's letter for each.
SAMPLER_LETTERS = {
    "penalties": "e",
    "dry": "d",
    "topnsigma": "s",
    "topk": "k",
    "typp": "y",
    "typ": "y",
    "typicalp": "y",
    "topp": "p",
    "nucleus": "p",
    "minp": "m",
    "xtc": "x",
    "temperature": "t",
    "temp": "t",
    "adaptivep": "a",
}
SAMPLER_NAMES = (
    "penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature and adaptive_p"
)


def _sampler_letters(value: object) -> object:
    """A list of names, or llama.cpp's letters, as letters."""
    if not isinstance(value, list | str):
        raise invalid("invalid_type", "must be a list of sampler names or a string of letters")
    if len(value) > MAX_SAMPLERS:
        raise invalid("invalid_value", f"has {len(value)} entries, at most {MAX_SAMPLERS}")
    if isinstance(value, str):
        known = sorted(set(SAMPLER_LETTERS.values()))
        if not set(value) <= set(known):
            raise invalid("invalid_value", f"may have the letters {''.join(known)} only")
        return value
    return "".join(_letter(name, i) for i, name in enumerate(value))


def _letter(name: object, i: int) -> str:
    plain = name.lower().replace("-", "").replace("_", "") if isinstance(name, str) else ""
    if plain not in SAMPLER_LETTERS:
        message = f"is no sampler of this server: there are {SAMPLER_NAMES}"
        raise invalid("invalid_value", message, f"samplers.{i}")
    return SAMPLER_LETTERS[plain]


def _bounded_breaker(value: str) -> str:
    n_bytes = len(value.encode())
    if n_bytes > MAX_BREAKER_BYTES:
        raise invalid("invalid_value", f"has {n_bytes} bytes, at most {MAX_BREAKER_BYTES}")
    if "\0" in value:
        raise invalid("invalid_value", "must not contain the character U+0000")
    return value


Samplers = Annotated[
    str,
    BeforeValidator(_sampler_letters),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "maxItems": MAX_SAMPLERS},
                {"type": "string", "pattern": "^[adekmpstxy]*$", "maxLength": MAX_SAMPLERS},
            ]
        }
    ),
]
AllowedTokens = Annotated[
    list[TokenId], Field(min_length=1, max_length=MAX_ALLOWED_TOKENS, fail_fast=True)
]
BadWord = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(without_nul)]
BadWords = Annotated[list[BadWord], Field(max_length=MAX_BAD_WORDS, fail_fast=True)]
Breaker = Annotated[str, Field(min_length=1), AfterValidator(_bounded_breaker)]
Probability = Annotated[float, Field(ge=0, le=1)]
NChoices = Annotated[int, Field(ge=1, le=MAX_CHOICES)]
Positive = Annotated[float, Field(ge=0, le=100)]
RepeatPenalty = Annotated[float, Field(ge=0.0001, le=10)]  # logits divided by less may overflow


class SamplingFields(ContextFields, EndingFields):
    """Sampling fields of every generating endpoint. Absent: the engine's default."""

    foreign: ClassVar[FieldTable] = GENERATION
    other_names: ClassVar[Mapping[str, str]] = {
        "n_cmpl": "n",
        "repetition_penalty": "repeat_penalty",
    }

    model: ModelName | None = None
    n: NChoices | None = None
    n_cmpl: NChoices | None = None
    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    dynatemp_range: Positive | None = None
    dynatemp_exponent: Positive | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Field(ge=-1, le=INT32_MAX)] | None = None
    min_p: Probability | None = None
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_n_sigma: Annotated[float, Field(ge=-1, le=100)] | None = None
    min_keep: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repeat_penalty: RepeatPenalty | None = None
    repetition_penalty: RepeatPenalty | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=65536)] | None = None
    dry_multiplier: Positive | None = None
    dry_base: Annotated[float, Field(ge=1, le=100)] | None = None
    dry_allowed_length: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = None
    dry_penalty_last_n: Annotated[int, Field(ge=-1, le=INT32_MAX)] | None = None
    dry_sequence_breakers: (
        Annotated[list[Breaker], Field(max_length=MAX_BREAKERS, fail_fast=True)] | None
    ) = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Positive | None = None
    mirostat_eta: Probability | None = None
    adaptive_target: Annotated[float, Field(ge=-1, le=1)] | None = None
    adaptive_decay: Annotated[float, Field(ge=0, le=0.99)] | None = None
    samplers: Samplers | None = None
    logit_bias: LogitBias | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)] | None = None
    allowed_token_ids: AllowedTokens | None = None
    bad_words: BadWords | None = None
    lora: LoraChoices | None = None


class StreamOptions(RequestModel):
    """Options of a streamed answer. continuous_usage_stats: vLLM's name."""

    foreign: ClassVar[FieldTable] = STREAM_OPTIONS

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


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

    @property
    def has_running_usage(self) -> bool:
        """Whether each chunk has the counts up to there."""
        options = self.stream_options
        return self.include_usage and options is not None and bool(options.continuous_usage_stats)
