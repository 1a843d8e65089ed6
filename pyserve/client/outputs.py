"""What comes back: answers, pieces of them, scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FinishReason = Literal["stop", "length", "tool_calls", "function_call"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request. cached_tokens of the prompt were not computed again.

    reasoning_tokens are some of the completion's.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer as text, and the natural logarithm of its probability.

    top: the most probable tokens there and theirs, in descending order.
    """

    token: str
    logprob: float
    top: dict[str, float]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. arguments: JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CompletionOutput:
    """One answer.

    reasoning: what the model thought before it, "" = nothing. finish_reason: None in none of them;
    `length`: it reached its limit. stop_reason: the string or token that ended it, if one did.
    token_ids: of the answer. logprobs: None where they were not asked for. parsed: the object that
    the text is, where a schema was given.
    """

    index: int
    text: str
    finish_reason: FinishReason
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: str | int | None = None
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    parsed: Any = None


@dataclass(frozen=True, slots=True)
class RequestOutput:
    """All answers to one prompt, `n` of them.

    model: the name of the model that answered. prompt_token_ids: with `return_token_ids=True`.
    """

    outputs: tuple[CompletionOutput, ...]
    usage: Usage
    model: str
    prompt_token_ids: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.outputs[0].text

    @property
    def reasoning(self) -> str:
        """The reasoning of the first answer."""
        return self.outputs[0].reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the first answer."""
        return self.outputs[0].tool_calls

    @property
    def parsed(self) -> Any:
        """The object that the first answer is, where a schema was given."""
        return self.outputs[0].parsed

    @property
    def message(self) -> dict[str, Any]:
        """The first answer as the next message of its conversation."""
        answer = self.outputs[0]
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in answer.tool_calls
            ]
        return message


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of the `index`th call of an answer: id and name once, the arguments in pieces."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was added to the `index`th answer. The last one of each has its finish_reason.

    usage: in the last chunk of all, which has nothing else.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document: its place among those that were given, and how well it answers the query."""

    index: int
    relevance_score: float
