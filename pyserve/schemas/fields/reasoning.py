"""Reasoning fields: those of OpenAI, llama-server and vLLM."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, field_validator

from pyserve.schemas.common import INT32_MAX, RequestModel, invalid

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Budget = Annotated[int, Field(ge=-1, le=INT32_MAX)]
TemplateVariables = dict[str, Any]
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


class ReasoningFields(RequestModel):
    """Whether and how long to reason, and where the reasoning is shown.

    The budgets are llama-server's and vLLM's names of one thing: tokens of reasoning, -1 no limit.
    """

    reasoning_effort: Effort | None = None
    reasoning_format: Literal["none", "auto", "deepseek"] | None = None
    include_reasoning: bool | None = None
    thinking_budget_tokens: Budget | None = None
    reasoning_budget: Budget | None = None
    reasoning_budget_tokens: Budget | None = None
    thinking_token_budget: Budget | None = None
    chat_template_kwargs: TemplateVariables | None = None

    @field_validator("chat_template_kwargs")
    @classmethod
    def _variables_can_be_set(cls, given: TemplateVariables | None) -> TemplateVariables | None:
        check_variables(given or {})
        return given

    @property
    def thinking_budget(self) -> int | None:
        """Most tokens of reasoning; None: no limit is given."""
        names = ("thinking_budget_tokens", "reasoning_budget", "reasoning_budget_tokens")
        for name in (*names, "thinking_token_budget"):
            budget: int | None = getattr(self, name)
            if budget is not None:
                return None if budget < 0 else budget
        return None
