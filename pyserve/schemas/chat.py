"""Request body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from pyserve.schemas.common import (
    Arguments,
    MaxTokens,
    RequestModel,
    check_text_size,
    invalid,
    kind_of,
    token_limit,
)
from pyserve.schemas.fields.accepted import AcceptedFields
from pyserve.schemas.fields.compaction import Compact, Truncation
from pyserve.schemas.fields.constraints import ConstraintFields
from pyserve.schemas.fields.content import Content, PredictionFields, content_text
from pyserve.schemas.fields.custom_tools import CalledCustom, text_arguments
from pyserve.schemas.fields.prompt_cut import PromptCutFields
from pyserve.schemas.fields.prompt_logprobs import PromptLogprobFields, check_scored_size
from pyserve.schemas.fields.reasoning import ChatReasoningFields
from pyserve.schemas.fields.reports import ReportFields
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.fields.tools import ToolFields
from pyserve.schemas.unsupported import CALL, MESSAGE, FieldTable, Unsupported

MAX_MESSAGES = 2048
MAX_TOOL_CALLS = 128
MAX_TEMPLATE_CHARS = 64 * 1024
MAX_DOCUMENTS = 1000
Document = Annotated[str | dict[str, Any], Field(union_mode="left_to_right")]


def _given(arguments: object) -> object:
    return "{}" if arguments is None else arguments


class CalledFunction(RequestModel):
    """The function of an earlier tool call; arguments is JSON as the model wrote it.

    It may also be the object itself, or left out.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: Annotated[Arguments, BeforeValidator(_given)] = "{}"


class ToolCall(RequestModel):
    """An earlier tool call, sent back as part of the conversation."""

    foreign: ClassVar[FieldTable] = CALL

    id: Annotated[str, Field(max_length=256)] | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class CustomToolCall(RequestModel):
    """An earlier call of a custom tool."""

    foreign: ClassVar[FieldTable] = CALL

    id: Annotated[str, Field(max_length=256)] | None = None
    type: Literal["custom"]
    custom: CalledCustom

    @property
    def function(self) -> CalledFunction:
        """The call of the function that stands for the tool."""
        return CalledFunction(name=self.custom.name, arguments=text_arguments(self.custom.input))


def _call_tag(call: object) -> str:
    is_custom = isinstance(call, CustomToolCall) or kind_of(call) == "custom"
    return "<custom>" if is_custom else "<function>"


AnyToolCall = Annotated[
    Annotated[ToolCall, Tag("<function>")] | Annotated[CustomToolCall, Tag("<custom>")],
    Discriminator(_call_tag),
]


CONTENT_IS_THERE: JsonDict = {
    "anyOf": [
        {"required": ["content"], "properties": {"content": {"type": ["string", "array"]}}},
        {"properties": {"role": {"const": "assistant"}}},
    ]
}


class Message(RequestModel):
    """One turn. Only an assistant's may lack content: it called, refused, thought, or was cut.

    prefix, partial: the names that Mistral and DeepSeek, and Kimi and Qwen have for
    continue_final_message.
    """

    model_config = ConfigDict(json_schema_extra=CONTENT_IS_THERE)
    foreign: ClassVar[FieldTable] = MESSAGE

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    name: Annotated[str, Field(max_length=256)] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None
    tool_calls: Annotated[list[AnyToolCall], Field(max_length=MAX_TOOL_CALLS)] | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    prefix: bool | None = None
    partial: bool | None = None
    content: Content | None = Field(default=None, validate_default=True)

    @field_validator("content", mode="before")
    @classmethod
    def _content_is_there(cls, value: Any, info: ValidationInfo) -> Any:
        role = info.data.get("role")
        if value == [] and role in ("assistant", "tool"):
            return ""
        if value is not None or role == "assistant":
            return value
        raise invalid("missing_required_parameter", "must be a string or a list of text parts")

    @property
    def text(self) -> str:
        """The content as one text, each part on lines of its own."""
        return (self.refusal or "") if self.content is None else content_text(self.content)

    @property
    def texts(self) -> list[str]:
        """The texts of its parts."""
        return (
            [part.text for part in self.content] if isinstance(self.content, list) else [self.text]
        )

    @property
    def reasoning_text(self) -> str:
        """The reasoning of an earlier answer, under either name."""
        return self.reasoning_content or self.reasoning or ""


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
_MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(Messages)


def read_messages(text: str) -> list[Message] | None:
    """Messages as JSON; None: they are not what a chat may have."""
    try:
        return _MESSAGES.validate_json(text)
    except ValidationError:
        return None


class ChatRequest(
    PromptLogprobFields,
    PromptCutFields,
    ConstraintFields,
    ToolFields,
    ChatReasoningFields,
    SchedulingFields,
    PredictionFields,
    ReportFields,
    AcceptedFields,
):
    """A conversation to continue. n_predict is llama.cpp's name of max_tokens.

    max_tokens -1 is no limit, 0 computes the prompt for later requests, and no answer.

    truncation auto leaves out the oldest turns of a conversation that does not fit, compact
    summarizes them.
    continue_final_message continues the assistant's last message instead of answering it; with echo
    the answer begins with that message.
    documents are what the answer rests on; a text is an object with it as its `text`.
    """

    unsupported: ClassVar[Unsupported] = {}

    messages: Messages
    max_completion_tokens: MaxTokens | None = None
    n_predict: MaxTokens | None = None
    truncation: Truncation | None = None
    continue_final_message: bool | None = None
    echo: bool | None = None
    add_generation_prompt: bool | None = None
    chat_template: Annotated[str, Field(max_length=MAX_TEMPLATE_CHARS)] | None = None
    documents: Annotated[list[Document], Field(max_length=MAX_DOCUMENTS, fail_fast=True)] | None = (
        None
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _alternatives_need_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise invalid("invalid_value", "is only allowed together with logprobs: true")
        return value

    @property
    def n_max_tokens(self) -> int | None:
        """Most tokens of the answer; None: as many as fit. The newest of the three names wins."""
        return token_limit(self.max_completion_tokens, self.max_tokens, self.n_predict)

    @property
    def echoed(self) -> str:
        """What the answer begins with before anything is generated."""
        last = self.messages[-1]
        return "".join(last.texts) if self.echo and last.role == "assistant" else ""

    @property
    def compacts(self) -> bool:
        """Whether older turns may be summarized."""
        return isinstance(self.truncation, Compact)

    @property
    def compact(self) -> Compact | None:
        """How they are."""
        return self.truncation if isinstance(self.truncation, Compact) else None

    @property
    def cuts_turns(self) -> bool:
        """Whether the oldest turns of what does not fit are left out."""
        wanted = self.truncation if self.compact is None else self.compact.overflow
        return wanted == "auto"

    @model_validator(mode="after")
    def _continued_by_message(self) -> ChatRequest:
        last = len(self.messages) - 1
        for i, message in enumerate(self.messages):
            if not (message.prefix or message.partial):
                continue
            path = f"messages.{i}.{'prefix' if message.prefix else 'partial'}"
            if i < last or message.role != "assistant":
                raise invalid("invalid_value", "is for a last message of the assistant", path)
            if self.continue_final_message is False:
                raise invalid("invalid_value", "contradicts continue_final_message", path)
            return self.model_copy(update={"continue_final_message": True})
        return self

    @model_validator(mode="after")
    def _continuation_is_possible(self) -> ChatRequest:
        if self.continue_final_message:
            if self.add_generation_prompt:
                message = "cannot be true together with continue_final_message: true"
                raise invalid("invalid_value", message, "add_generation_prompt")
            if len(self.messages) == 1 or self.messages[-1].role != "assistant":
                message = "needs a last message of the assistant, and one before it"
                raise invalid("invalid_value", message, "continue_final_message")
        return self

    @model_validator(mode="after")
    def _text_is_bounded(self) -> ChatRequest:
        n_bytes = sum(_n_bytes(message) for message in self.messages)
        check_text_size(n_bytes, "messages")
        if self.prompt_logprobs is not None:
            check_scored_size(0, n_bytes, self.prompt_logprobs, "messages")
        check_text_size(len(msgspec.json.encode(self.documents or [])), "documents")
        return self

    @property
    def shown_documents(self) -> list[dict[str, Any]]:
        """The documents as chat templates know them."""
        return [{"text": each} if isinstance(each, str) else each for each in self.documents or []]


def _n_bytes(message: Message) -> int:
    """UTF-8 bytes of everything in a message that becomes a part of the prompt."""
    texts = [message.text, message.name or "", message.reasoning_text]
    for call in message.tool_calls or []:
        texts += [call.function.name, call.function.arguments]
    if message.function_call is not None:
        texts.append(message.function_call.arguments)
    return sum(len(text.encode()) for text in texts)
