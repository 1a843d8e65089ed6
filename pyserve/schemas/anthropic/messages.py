"""Request bodies of POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pyserve.schemas.anthropic.blocks import (
    ForeignBlock,
    TextContent,
    TurnMessage,
    check_calls,
    texts_of,
)
from pyserve.schemas.anthropic.tools import ClientTool, ForeignTool, MessagesToolChoice, Tools
from pyserve.schemas.chat import MAX_MESSAGES
from pyserve.schemas.common import (
    INT32_MAX,
    RequestModel,
    StopString,
    check_text_size,
    invalid,
)
from pyserve.schemas.fields.constraints import JsonSchema
from pyserve.schemas.fields.reasoning import Effort, ReasoningFields
from pyserve.schemas.fields.sampling import SamplingFields
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.fields.tools import check_tools
from pyserve.schemas.unsupported import ANY, GENERATION, FieldTable, Unsupported

MIN_THINKING_TOKENS = 1024
# context_management is what the service does with a conversation before the model reads it.
NAMED: Unsupported = {
    "anthropic_version": (),
    "cache_control": (ANY,),
    "context_management": ([], {}),
}
# The least effort that allows as many tokens of reasoning, for templates that know efforts alone.
_EFFORTS: tuple[tuple[int, Effort], ...] = ((2048, "medium"), (8192, "high"))


class ThinkingConfig(RequestModel):
    """Whether to reason, and in how many tokens; adaptive, or no number: as the effort says."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=MIN_THINKING_TOKENS, le=INT32_MAX)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(RequestModel):
    """JSON by a schema."""

    type: Literal["json_schema"]
    schema_: JsonSchema = Field(alias="schema")


class OutputConfig(RequestModel):
    """How much to reason, and the format of the answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class MessagesMetadata(RequestModel):
    """Whom the request is for; it changes nothing."""

    user_id: Annotated[str, Field(max_length=1024)] | None = None


class ConversationFields(SamplingFields, ReasoningFields, SchedulingFields):
    """A conversation, with all that its prompt and the answer are made by.

    Fields of the sampling that Anthropic does not have are those of chat completions.
    """

    foreign: ClassVar[FieldTable] = FieldTable(
        {name: value for name, value in GENERATION.refused.items() if name not in NAMED},
        {**GENERATION.named, **NAMED},
    )
    unsupported: ClassVar[Unsupported] = {
        "n": (1,),
        "n_cmpl": (1,),
        "stop": ([], ""),
    }

    messages: Annotated[
        list[TurnMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    ]
    system: TextContent | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Annotated[list[StopString], Field(max_length=16, fail_fast=True)] | None = Field(
        default=None, alias="stop_sequences"
    )
    tools: Tools | None = None
    tool_choice: MessagesToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: MessagesMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ConversationFields:
        tools, choice = list(self.client_tools.values()), self.tool_choice
        check_tools(tools, "tools")
        if choice is not None and choice.type in ("any", "tool"):
            if not tools:
                raise invalid("invalid_value", "needs a tool of the client", "tool_choice")
            if choice.name is not None and choice.name not in [tool.name for tool in tools]:
                message = f"names none of the {len(tools)} tools that the model can be offered"
                raise invalid("invalid_value", message, "tool_choice.name")
        n_system = sum(len(text.encode()) for text in texts_of(self.system or ""))
        check_text_size(n_system + sum(turn.n_bytes for turn in self.messages), "messages")
        if self.output_format is not None and self.format_param != "output_format":
            message = "is the older name of output_config.format: give one of them"
            raise invalid("invalid_value", message, "output_format")
        self._check_turns()
        return self

    def _check_turns(self) -> None:
        check_calls(self.messages)
        *before, last = self.messages
        for i, turn in enumerate(before):
            if turn.content == []:
                raise invalid("invalid_value", "is empty", f"messages.{i}.content")
        if last.role != "assistant":
            if last.content == []:
                raise invalid("invalid_value", "is empty", f"messages.{len(before)}.content")
        elif not before:
            raise invalid("invalid_value", "need a turn of the user before the answer", "messages")
        elif self.is_continued and self.answer_format:
            message = "cannot be combined with the begin of an answer, which is the last message"
            raise invalid("invalid_value", message, self.format_param)

    @property
    def answer_format(self) -> OutputFormat | None:
        """What the answer is held to. `output_format` is its name of the beta."""
        return (self.output_config and self.output_config.format) or self.output_format

    @property
    def format_param(self) -> str:
        """The field that says it."""
        has_config = self.output_config is not None and self.output_config.format is not None
        return "output_config.format" if has_config else "output_format"

    @property
    def client_tools(self) -> dict[str, ClientTool]:
        """The tools that the model is offered, by their places in the request."""
        return {place: tool for place, tool in self._placed() if isinstance(tool, ClientTool)}

    @property
    def foreign_tools(self) -> dict[str, ForeignTool]:
        """The other ones."""
        return {place: tool for place, tool in self._placed() if isinstance(tool, ForeignTool)}

    def _placed(self) -> list[tuple[str, ClientTool | ForeignTool]]:
        return [(f"tools.{i}", tool) for i, tool in enumerate(self.tools or [])]

    @property
    def foreign_blocks(self) -> list[str]:
        """The types of the blocks that are left out."""
        blocks = (block for turn in self.messages for block in turn.blocks)
        return [block.type for block in blocks if isinstance(block, ForeignBlock)]

    @property
    def is_continued(self) -> bool:
        """Whether the last message is the begin of the answer."""
        return self.messages[-1].role == "assistant" and bool(self.messages[-1].blocks)

    @property
    def reasoning(self) -> ReasoningFields:
        """The reasoning fields, with what `thinking` and `output_config.effort` say."""
        wanted: dict[str, object] = {}
        if self.output_config is not None and self.output_config.effort is not None:
            wanted["reasoning_effort"] = self.output_config.effort
        if self.thinking is None:
            return self.model_copy(update=wanted)
        if self.thinking.type == "disabled":
            return self.model_copy(update={"reasoning_effort": "none"})
        budget = self.thinking.budget_tokens
        if self.thinking.type == "enabled" and budget is not None:
            near = next((effort for most, effort in _EFFORTS if budget <= most), "max")
            wanted = {"reasoning_effort": near, "thinking_budget_tokens": budget, **wanted}
        return self.model_copy(update={"reasoning_effort": "high", **wanted})


class MessagesRequest(ConversationFields):
    """A conversation to continue. max_tokens 0 computes the prompt for later requests, no answer.

    A last message of the assistant is the begin of the answer.
    """

    max_tokens: Annotated[int, Field(ge=0, le=INT32_MAX)]
    stream: bool | None = None

    @model_validator(mode="after")
    def _has_room_for_thoughts(self) -> MessagesRequest:
        budget = None if self.thinking is None else self.thinking.budget_tokens
        if budget is not None and budget >= self.max_tokens:
            message = f"is {budget}, but must be less than max_tokens, which is {self.max_tokens}"
            raise invalid("invalid_value", message, "thinking.budget_tokens")
        return self


class CountTokensRequest(ConversationFields):
    """A conversation whose tokens are to be counted. It may be longer than the context."""
