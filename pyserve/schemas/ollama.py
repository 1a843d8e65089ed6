"""Request bodies of Ollama's API.

`options` that mean nothing here are taken, and named in X-Ignored-Fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pyserve.schemas.chat import MAX_MESSAGES, MAX_TOOL_CALLS
from pyserve.schemas.common import (
    INT32_MAX,
    INT64_MAX,
    ModelName,
    RenamedFields,
    RequestModel,
    Stop,
    invalid,
)
from pyserve.schemas.embeddings import MAX_INPUTS, InputText
from pyserve.schemas.fields.constraints import OllamaFormat
from pyserve.schemas.fields.functions import FunctionDefinition
from pyserve.schemas.fields.keep_alive import KeepAlive
from pyserve.schemas.fields.sampling import Positive, Probability, RepeatPenalty
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.fields.tools import MAX_TOOLS, check_tools, only_functions
from pyserve.schemas.models import FurtherName
from pyserve.schemas.unsupported import CALL, MEANS, MESSAGE, FieldTable, Unsupported

MAX_OPTIONS = 64
MAX_TEMPLATE_CHARS = 64 * 1024
THINK_LEVELS = ("low", "medium", "high", "max")


def _think(value: object) -> object:
    if isinstance(value, bool) or value in THINK_LEVELS:
        return value
    kind = "invalid_value" if isinstance(value, str) else "invalid_type"
    raise invalid(kind, f"must be true, false or one of {', '.join(THINK_LEVELS)}")


def _no_images(value: object) -> object:
    if value is None or value == []:
        return None
    raise invalid("unsupported_content", "is not supported: only text is")


Name = Annotated[ModelName, Field(min_length=1)]
Think = Annotated[
    bool | str,
    PlainValidator(_think),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": [*THINK_LEVELS]}]}),
]
NoImages = Annotated[
    None,
    PlainValidator(_no_images),
    WithJsonSchema({"type": "array", "maxItems": 0}),
]


class OllamaOptions(RequestModel):
    """`options`: sampling and lengths, by Ollama's names.

    num_predict below 1 is no limit. num_ctx: most tokens of prompt and answer together.
    """

    foreign: ClassVar[FieldTable] = FieldTable(
        {"tfs_z": (1,), "penalize_newline": (True, False)}, MEANS
    )

    num_predict: Annotated[int, Field(ge=-2, le=INT32_MAX)] | None = None
    num_ctx: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=INT32_MAX)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    min_p: Probability | None = None
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=65536)] | None = None
    repeat_penalty: RepeatPenalty | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Positive | None = None
    mirostat_eta: Probability | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX)] | None = None
    stop: Stop | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_bounded(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_OPTIONS:
            raise invalid("invalid_value", f"has {len(data)} entries, at most {MAX_OPTIONS}")
        return data

    @property
    def sampling(self) -> dict[str, Any]:
        """What they say of sampling and stops, by the names that all endpoints have for it."""
        names = set(OllamaOptions.model_fields) - {"num_predict", "num_ctx"}
        return self.model_dump(include=names, exclude_none=True)

    @property
    def n_max_tokens(self) -> int | None:
        """Most tokens of the answer; None: as many as fit."""
        return self.num_predict if (self.num_predict or 0) > 0 else None


class OptionFields(RequestModel):
    """The model and how it is to be run."""

    model: Name
    options: OllamaOptions | None = None

    @property
    def given(self) -> OllamaOptions:
        """The options, maybe none."""
        return self.options or OllamaOptions()

    @property
    def context_limit(self) -> int | None:
        """Most tokens of prompt and answer; None: the model's context."""
        return self.given.num_ctx


class AnswerFields(OptionFields, SchedulingFields):
    """What chats and texts have in common. stream: absent is true.

    truncate: leave out the oldest turns of what does not fit, which is refused otherwise.
    """

    foreign: ClassVar[FieldTable] = FieldTable(named={"shift": (False,)})

    stream: bool | None = None
    format: OllamaFormat | None = None
    think: Think | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncate: bool | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _alternatives_need_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise invalid("invalid_value", "is only allowed together with logprobs: true")
        return value


class OllamaFunctionCall(RequestModel):
    """The function of an earlier tool call."""

    foreign: ClassVar[FieldTable] = CALL

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: dict[str, Any]


class OllamaToolCall(RequestModel):
    """An earlier tool call, sent back as part of the conversation."""

    foreign: ClassVar[FieldTable] = FieldTable(named={"type": ("function",)})

    id: Annotated[str, Field(max_length=256)] | None = None
    function: OllamaFunctionCall


class OllamaMessage(RequestModel):
    """One turn. tool_name: of a tool's result; tool_call_id: of the call that it answers."""

    foreign: ClassVar[FieldTable] = MESSAGE

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: NoImages = None
    tool_calls: Annotated[list[OllamaToolCall], Field(max_length=MAX_TOOL_CALLS)] | None = None
    tool_name: Annotated[str, Field(max_length=256)] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None


class OllamaTool(RequestModel):
    """A tool: a function."""

    type: Literal["function"] | None = None
    function: FunctionDefinition

    @model_validator(mode="before")
    @classmethod
    def _is_function(cls, data: Any) -> Any:
        return only_functions(data)


class OllamaChatRequest(AnswerFields):
    """A conversation to continue; without messages the model is loaded, or unloaded."""

    messages: (
        Annotated[list[OllamaMessage], Field(max_length=MAX_MESSAGES, fail_fast=True)] | None
    ) = None
    tools: Annotated[list[OllamaTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _tools_fit_together(self) -> OllamaChatRequest:
        check_tools([tool.function for tool in self.tools or []], "tools")
        return self


class OllamaGenerateRequest(AnswerFields):
    """A text to answer; without a prompt the model is loaded, or unloaded.

    raw: no template is used, and names of control tokens are control tokens. suffix: what follows
    the answer. template: Go's, in place of the model's.
    """

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: Annotated[str, Field(max_length=MAX_TEMPLATE_CHARS)] | None = None
    raw: bool | None = None
    context: Annotated[list[int], Field(max_length=0)] | None = None
    images: NoImages = None

    @model_validator(mode="after")
    def _one_way(self) -> OllamaGenerateRequest:
        """Raw prompts, infilling and templates exclude each other."""
        if self.raw:
            others = [name for name in ("system", "template", "suffix") if getattr(self, name)]
            if others:
                raise invalid("invalid_value", "cannot be combined with raw: true", others[0])
        if self.suffix and (self.system or self.template):
            other = "system" if self.system else "template"
            raise invalid("invalid_value", "cannot be combined with suffix", other)
        return self


class OllamaEmbedRequest(OptionFields):
    """Texts to embed, maybe none. truncate: false refuses what does not fit, else it is cut."""

    input: Annotated[
        list[InputText],
        Field(default_factory=list, max_length=MAX_INPUTS, fail_fast=True),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "maxItems": MAX_INPUTS},
                    {"type": "null"},
                ]
            }
        ),
    ]
    truncate: bool | None = None
    dimensions: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    keep_alive: KeepAlive | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        if value is None or value == "":
            return []
        return [value] if isinstance(value, str) else value


class OllamaEmbeddingsRequest(OptionFields):
    """One text to embed, in the older form; without one the model is loaded."""

    prompt: str | None = None
    keep_alive: KeepAlive | None = None


class NamedRequest(RenamedFields):
    """The name of a model; `name` is its older field."""

    other_names: ClassVar[Mapping[str, str]] = {"name": "model"}

    model: Name | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.model is None and self.name is None:
            raise invalid("missing_required_parameter", "is required", "model")
        return self

    @property
    def wanted(self) -> str:
        """The name."""
        return self.model or self.name or ""


class OllamaShowRequest(NamedRequest):
    """The model to describe."""

    foreign: ClassVar[FieldTable] = FieldTable(named={"verbose": (False,)})


class OllamaPullRequest(NamedRequest):
    """The model to get. stream: absent is true."""

    unsupported: ClassVar[Unsupported] = {"insecure": (False,)}

    stream: bool | None = None


class OllamaDeleteRequest(NamedRequest):
    """The model to remove."""


class OllamaCopyRequest(RequestModel):
    """A model, and a further name for it."""

    source: Name
    destination: FurtherName
