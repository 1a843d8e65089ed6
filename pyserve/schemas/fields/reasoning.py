"""Reasoning fields: those of OpenAI, llama-server, vLLM, Ollama and hosted services."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import msgspec
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from pyserve.schemas.common import INT32_MAX, RequestModel, invalid
from pyserve.schemas.unsupported import REASONING, FieldTable

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]
Budget = Annotated[int, Field(ge=-1, le=INT32_MAX)]
BudgetMessage = Annotated[str, Field(max_length=4096)]
TemplateVariables = dict[str, Any]
BUDGETS = (
    "thinking_budget_tokens",
    "reasoning_budget",
    "reasoning_budget_tokens",
    "thinking_token_budget",
)
MAX_VARIABLES = 64
MAX_VARIABLE_BYTES = 4096
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
# What the prompt is made of beside them; a client cannot set these.
RESERVED = frozenset({"messages", "tools", "bos_token", "eos_token", "add_generation_prompt"})
# Types of those that templates of several models know, where another type would mislead.
KNOWN_VARIABLES = {
    "enable_thinking": bool,
    "thinking": bool,
    "preserve_thinking": bool,
    "preserve_reasoning": bool,
    "clear_thinking": bool,
    "reasoning_effort": str,
    "thinking_budget": int,
    "date_string": str,
}


def check_variables(given: TemplateVariables) -> None:
    """Raise the error of `invalid` for variables that no template can get."""
    if len(given) > MAX_VARIABLES:
        message = f"has {len(given)} names, at most {MAX_VARIABLES}"
        raise invalid("invalid_value", message, "chat_template_kwargs")
    for name, value in given.items():
        path = f"chat_template_kwargs.{name}"[:200]
        if name in RESERVED:
            raise invalid("unsupported_parameter", "is set by the server", path)
        if not _NAME.fullmatch(name):
            message = "is no name: letters, digits and _, at most 64, not a digit first"
            raise invalid("invalid_value", message, path)
        kind = KNOWN_VARIABLES.get(name)
        if kind is not None and type(value) is not kind:
            raise invalid("invalid_type", f"must be of type {kind.__name__}", path)
        n_bytes = len(msgspec.json.encode(value))
        if n_bytes > MAX_VARIABLE_BYTES:
            message = f"has {n_bytes:,} bytes as JSON, at most {MAX_VARIABLE_BYTES:,}"
            raise invalid("invalid_value", message, path)


def _think_tag(value: object) -> str | None:
    if isinstance(value, bool):
        return "<switch>"
    return "<effort>" if isinstance(value, str) else None


Think = Annotated[
    Annotated[bool, Tag("<switch>")] | Annotated[Effort, Tag("<effort>")],
    Discriminator(
        _think_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be true, false or a level such as low",
    ),
]


class ThinkingChoice(RequestModel):
    """`thinking`, as Anthropic, DeepSeek and GLM have it. adaptive: as much as the model wants."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Budget | None = None


class ReasoningChoice(RequestModel):
    """`reasoning`, as OpenRouter has it. exclude: reason, but do not show it."""

    foreign: ClassVar[FieldTable] = REASONING

    effort: Effort | None = None
    max_tokens: Budget | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class Wish(NamedTuple):
    """What one field asks for: whether to think, how hard, and for how many tokens (-1: any)."""

    param: str
    thinks: bool | None = None
    effort: Effort | None = None
    budget: int | None = None


class ReasoningFields(RequestModel):
    """Whether and how long to reason, and where the reasoning is shown.

    There are many names of one thing. What they ask for together is in four of them once a request
    is validated: enable_thinking, reasoning_effort, thinking_budget_tokens and include_reasoning;
    where nothing may be thought the effort is "none".
    """

    verbosity_param: ClassVar[str] = "verbosity"

    reasoning_effort: Effort | None = None
    reasoning_format: Literal["none", "auto", "deepseek"] | None = None
    include_reasoning: bool | None = None
    enable_thinking: bool | None = None
    thinking_budget_tokens: Budget | None = None
    reasoning_budget: Budget | None = None
    reasoning_budget_tokens: Budget | None = None
    thinking_token_budget: Budget | None = None
    reasoning_budget_message: BudgetMessage | None = None
    verbosity: Verbosity | None = None
    chat_template_kwargs: TemplateVariables | None = None

    @field_validator("chat_template_kwargs")
    @classmethod
    def _variables_can_be_set(cls, given: TemplateVariables | None) -> TemplateVariables | None:
        check_variables(given or {})
        return given

    @model_validator(mode="after")
    def _wishes_agree(self) -> Self:
        wishes = self._wishes()
        thinks = _agreed("thinks", wishes)
        effort = _agreed("effort", wishes)
        budget = _agreed("budget", wishes)
        if thinks is None and budget:
            thinks = budget > 0 or None
        update = {
            "reasoning_effort": "none" if thinks is False else effort,
            "enable_thinking": thinks,
            "thinking_budget_tokens": budget,
        }
        if all(getattr(self, name) == value for name, value in update.items()):
            return self
        copied = self.model_copy(update=update)
        copied.model_fields_set.intersection_update(self.model_fields_set)  # what the client sent
        return copied

    def _wishes(self) -> list[Wish]:
        """What the fields ask for, the name that counts most first."""
        wishes = [_of_effort("reasoning_effort", self.reasoning_effort)]
        wishes.append(Wish("enable_thinking", thinks=self.enable_thinking))
        return wishes + [Wish(name, budget=getattr(self, name)) for name in BUDGETS]

    @property
    def thinking_budget(self) -> int | None:
        """Most tokens of reasoning; None: no limit is given."""
        budget = self.thinking_budget_tokens
        return None if budget is None or budget < 0 else budget


class ChatReasoningFields(ReasoningFields):
    """The same for chats, which other servers have more names for."""

    thinking: ThinkingChoice | None = None
    think: Think | None = None
    reasoning: ReasoningChoice | None = None

    @model_validator(mode="after")
    def _reasoning_may_be_excluded(self) -> Self:
        if self.reasoning is None or not self.reasoning.exclude:
            return self
        if self.include_reasoning:
            message = "is true, but include_reasoning as well"
            raise invalid("invalid_value", message, "reasoning.exclude")
        return self.model_copy(update={"include_reasoning": False})

    def _wishes(self) -> list[Wish]:
        wishes = super()._wishes()
        if self.thinking is not None:
            wishes.append(Wish("thinking.type", self.thinking.type != "disabled"))
            wishes.append(Wish("thinking.budget_tokens", budget=self.thinking.budget_tokens))
        if isinstance(self.think, str):
            wishes.append(_of_effort("think", self.think))
        else:
            wishes.append(Wish("think", self.think))
        if self.reasoning is not None:
            wishes.append(_of_effort("reasoning.effort", self.reasoning.effort))
            wishes.append(Wish("reasoning.enabled", self.reasoning.enabled))
            wishes.append(Wish("reasoning.max_tokens", budget=self.reasoning.max_tokens))
        return wishes


def _of_effort(param: str, effort: Effort | None) -> Wish:
    return Wish(param, None if effort is None else effort != "none", effort)


def _agreed(what: str, wishes: Sequence[Wish]) -> Any:
    """What the wishes say of one thing, None if nothing. Raises the error of `invalid`."""
    given = [(wish.param, getattr(wish, what)) for wish in wishes]
    given = [(param, value) for param, value in given if value is not None]
    for param, value in given[1:]:
        if value != given[0][1]:
            raise invalid("invalid_value", f"contradicts {given[0][0]}", param)
    return given[0][1] if given else None
