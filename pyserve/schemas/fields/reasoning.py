"""Reasoning fields: those of OpenAI, llama-server and vLLM."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, field_validator

from pyserve.schemas.common import INT32_MAX, RequestModel, invalid

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Budget = Annotated[int, Field(ge=-1, le=INT32_MAX)]
TemplateVariable = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "integer"}, {"type": "string"}]})
]
MAX_VARIABLE_CHARS = 256
TEMPLATE_VARIABLES = {
    "enable_thinking": bool,
    "thinking": bool,
    "preserve_thinking": bool,
    "preserve_reasoning": bool,
    "clear_thinking": bool,
    "reasoning_effort": str,
    "thinking_budget": int,
    "date_string": str,
    "tools_in_user_message": bool,
    "add_vision_id": bool,
    "model_identity": str,
}


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
    chat_template_kwargs: dict[str, TemplateVariable] | None = None

    @field_validator("chat_template_kwargs")
    @classmethod
    def _variables_are_known(
        cls, given: dict[str, TemplateVariable] | None
    ) -> dict[str, TemplateVariable] | None:
        for name, value in (given or {}).items():
            path = f"chat_template_kwargs.{name}"[:200]
            kind = TEMPLATE_VARIABLES.get(name)
            if kind is None:
                message = f"is not one of {', '.join(TEMPLATE_VARIABLES)}"
                raise invalid("unsupported_parameter", message, path)
            if type(value) is not kind:
                raise invalid("invalid_type", f"must be of type {kind.__name__}", path)
            if isinstance(value, str) and len(value) > MAX_VARIABLE_CHARS:
                message = f"has {len(value)} characters, at most {MAX_VARIABLE_CHARS}"
                raise invalid("invalid_value", message, path)
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
