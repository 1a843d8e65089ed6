"""Request body of POST /v1/responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pyserve.schemas.common import (
    MaxTokens,
    RequestModel,
    check_text_size,
    invalid,
    token_limit,
)
from pyserve.schemas.fields.accepted import AcceptedFields
from pyserve.schemas.fields.compaction import MIN_COMPACTED_TOKENS, Compact
from pyserve.schemas.fields.constraints import TextFormat
from pyserve.schemas.fields.reasoning import Effort, ReasoningFields, Verbosity
from pyserve.schemas.fields.reports import PingFields, TimingFields
from pyserve.schemas.fields.sampling import SamplingFields
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.input_items import (
    AdditionalToolsItem,
    CompactionTrigger,
    Input,
    ReasoningItem,
)
from pyserve.schemas.response_tools import (
    RequestTool,
    ResponseToolChoice,
    ResponseTools,
    check_tools_size,
)
from pyserve.schemas.unsupported import STREAM_OPTIONS, FieldTable, Unsupported, first_unsupported

Summary = Literal["auto", "concise", "detailed"]
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
# What they would add to the answer comes from tools: an answer has none of it.
EMPTY_INCLUDES = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
)
INCLUDES = (LOGPROBS, ENCRYPTED, *EMPTY_INCLUDES)
# Fields that are refused unless null or neutral, and what to do instead.
REASONS: Mapping[str, tuple[tuple[object, ...], str]] = {
    "prompt": ((), "there are no stored prompts: send instructions and input"),
    "max_tokens": ((), "the field is called max_output_tokens here"),
}
PARTS_OF_FIELDS: Mapping[str, Unsupported] = {
    "reasoning": {
        "mode": ("standard",),
        "context": ("auto",),
    },
}


class TextConfig(RequestModel):
    """Settings of the answer's text."""

    format: TextFormat | None = None
    verbosity: Verbosity | None = None


class Reasoning(RequestModel):
    """Reasoning settings. With a summary the thoughts are given as one, whole.

    generate_summary: an older name.
    """

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None

    @property
    def wanted_summary(self) -> Summary | None:
        return self.summary or self.generate_summary


class ContextManagement(RequestModel):
    """When the server makes the conversation shorter: once its prompt has more tokens than this."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int, Field(ge=MIN_COMPACTED_TOKENS)] | None = None


StoredId = Annotated[str, Field(min_length=1, max_length=256)]


class ConversationObject(RequestModel):
    """A stored conversation."""

    id: StoredId


ConversationRef = Annotated[
    Annotated[StoredId, Tag("<id>")] | Annotated[ConversationObject, Tag("<object>")],
    Discriminator(lambda value: "<id>" if isinstance(value, str) else "<object>"),
]


class ResponseStreamOptions(RequestModel):
    """Options of a streamed answer, which change nothing here."""

    foreign: ClassVar[FieldTable] = STREAM_OPTIONS


class ResponseRequest(
    SamplingFields, ReasoningFields, SchedulingFields, PingFields, TimingFields, AcceptedFields
):
    """A conversation to continue, as a list of items, or by the id of what is stored of it.

    Fields of the sampling that the Responses API does not have are those of chat completions.
    """

    verbosity_param: ClassVar[str] = "text.verbosity"
    unsupported: ClassVar[Unsupported] = {
        "n": (1,),
        "n_cmpl": (1,),
        **{name: neutral_values for name, (neutral_values, _) in REASONS.items()},
    }

    input: Input = Field(default_factory=list)
    previous_response_id: StoredId | None = None
    conversation: ConversationRef | None = None
    background: bool | None = None
    instructions: str | None = None
    max_output_tokens: MaxTokens | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Annotated[list[ContextManagement], Field(max_length=1)] | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    include: Annotated[list[str], Field(max_length=16, fail_fast=True)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: ResponseTools | None = None
    tool_choice: ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_with_reason(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name, (neutral_values, reason) in REASONS.items():
            if first_unsupported(data, {name: neutral_values}):
                raise invalid("unsupported_parameter", f"is not supported: {reason}", name)
        for name, unsupported in PARTS_OF_FIELDS.items():
            part = first_unsupported(data[name], unsupported) if _is_object(data, name) else None
            if part is not None:
                message = "is not supported by this server"
                raise invalid("unsupported_parameter", message, f"{name}.{part}")
        return data

    @field_validator("include")
    @classmethod
    def _includes_are_known(cls, names: list[str] | None) -> list[str] | None:
        for name in names or []:
            if name not in INCLUDES:
                raise invalid("invalid_value", f"must be of: {', '.join(INCLUDES)}")
        return names

    @model_validator(mode="after")
    def _fits_together(self) -> ResponseRequest:
        if self.stream_options is not None and not self.stream:
            message = "is only allowed together with stream: true"
            raise invalid("invalid_value", message, "stream_options")
        is_continued = self.previous_response_id is not None or self.conversation is not None
        if "input" not in self.model_fields_set and not is_continued:
            raise invalid("missing_required_parameter", "is required", "input")
        if self.previous_response_id is not None and self.conversation is not None:
            message = "cannot be combined with previous_response_id"
            raise invalid("invalid_value", message, "conversation")
        self._check_trigger()
        check_tools_size([tool for _, tool in self.placed_tools], "tools")
        texts = [self.input] if isinstance(self.input, str) else [m.text for m in self.input]
        n_bytes = sum(len(text.encode()) for text in [*texts, self.instructions or ""])
        check_text_size(n_bytes + self._n_encrypted, "input")
        return self

    def _check_trigger(self) -> None:
        items = [] if isinstance(self.input, str) else self.input
        for i, item in enumerate(items):
            if isinstance(item, CompactionTrigger) and i < len(items) - 1:
                raise invalid("invalid_value", "must be the last item", f"input.{i}")
        is_continued = self.previous_response_id is not None or self.conversation is not None
        if self.is_compaction and len(items) == 1 and not is_continued:
            raise invalid("invalid_value", "has nothing before it", "input.0")

    @property
    def is_compaction(self) -> bool:
        """Whether a summary of the conversation is wanted in place of an answer."""
        items = [] if isinstance(self.input, str) else self.input
        return bool(items) and isinstance(items[-1], CompactionTrigger)

    @property
    def compacts(self) -> bool:
        """Whether the conversation may be made shorter."""
        return self.is_compaction or bool(self.context_management)

    @property
    def cuts_turns(self) -> bool:
        """Whether the oldest turns of what does not fit are left out."""
        return self.truncation == "auto"

    @property
    def compact(self) -> Compact | None:
        """How older items are summarized."""
        if not self.compacts:
            return None
        return Compact(type="compact", threshold=self.compact_threshold)

    @property
    def compact_threshold(self) -> int | None:
        """Tokens of a prompt beyond which it is made shorter; None: those that fit."""
        found = self.context_management or []
        return found[0].compact_threshold if found else None

    @property
    def placed_tools(self) -> list[tuple[str, RequestTool]]:
        """The tools of the request and of its items, each with its place."""
        items = [] if isinstance(self.input, str) else self.input
        lists = [("tools", self.tools or [])]
        lists += [
            (f"input.{i}.tools", item.tools)
            for i, item in enumerate(items)
            if isinstance(item, AdditionalToolsItem)
        ]
        return [(f"{param}.{i}", tool) for param, tools in lists for i, tool in enumerate(tools)]

    @property
    def _n_encrypted(self) -> int:
        """The size of reasoning in its opaque form."""
        items = [] if isinstance(self.input, str) else self.input
        reasoning = (item for item in items if isinstance(item, ReasoningItem))
        return sum(len(item.encrypted_content or "") for item in reasoning)

    @property
    def conversation_id(self) -> str:
        """The id of the conversation; empty: there is none."""
        found = self.conversation
        return found.id if isinstance(found, ConversationObject) else found or ""

    @property
    def shows_encrypted(self) -> bool:
        """Whether reasoning is also wanted in its opaque form."""
        return ENCRYPTED in (self.include or [])

    @property
    def thinking(self) -> ReasoningFields:
        """The reasoning fields, with those of `reasoning` and `text`."""
        update: dict[str, Any] = {}
        if self.reasoning is not None and self.reasoning.effort is not None:
            update["reasoning_effort"] = self.reasoning.effort
        if self.text is not None and self.text.verbosity is not None:
            update["verbosity"] = self.text.verbosity
        return self.model_copy(update=update) if update else self

    @property
    def n_max_tokens(self) -> int | None:
        """Most tokens of the answer; None: as many as fit."""
        return token_limit(self.max_output_tokens)

    @property
    def n_logprobs(self) -> int | None:
        """The number of alternatives wanted beside each token; None: no log-probabilities."""
        if LOGPROBS in (self.include or []) or self.top_logprobs:
            return self.top_logprobs or 0
        return None


def _is_object(data: Mapping[str, Any], name: str) -> bool:
    return isinstance(data.get(name), dict)
