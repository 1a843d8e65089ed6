"""Defaults of a model's configuration for fields that a request leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pyserve.models.profile import ModelProfile, PromptProfile
from pyserve.schemas.anthropic.messages import ConversationFields
from pyserve.schemas.chat import ChatRequest, Message
from pyserve.schemas.common import MAX_CHOICES, RequestModel, as_list
from pyserve.schemas.completions import MAX_LOGPROBS, CompletionRequest
from pyserve.schemas.fields.compaction import Compact
from pyserve.schemas.fields.constraints import ConstraintFields
from pyserve.schemas.fields.sampling import SamplingFields
from pyserve.schemas.responses import ResponseRequest

# Names of one thing: a default fills the first of them that a schema has, if none is set.
SAME_THING = (
    ("max_completion_tokens", "max_output_tokens", "max_tokens", "n_predict"),
    ("repeat_penalty", "repetition_penalty"),
)

Body = TypeVar("Body", bound=SamplingFields)


def with_defaults(body: Body, profile: ModelProfile) -> Body:
    """`body` with a model's defaults, stop strings and system prompt.

    The values were checked when the configuration was read; those that the endpoint does not have
    are left out.
    """
    if isinstance(body, ChatRequest):
        body = body.model_copy(update=_thinking(body))
    fields = type(body).model_fields
    update: dict[str, Any] = {}
    for name, value in _defaults(body, profile.defaults).items():
        names = next((same for same in SAME_THING if name in same), (name,))
        here = [same for same in names if same in fields]
        if here and all(getattr(body, same) is None for same in here) and _fits(body, name, value):
            update[here[0]] = Compact.model_validate(value) if name == "truncation" else value
    variables = profile.defaults.get("chat_template_kwargs")
    given = getattr(body, "chat_template_kwargs", None)
    if variables and given is not None:
        update["chat_template_kwargs"] = {**variables, **given}
    if profile.stop:
        own = [] if body.stop is None else as_list(body.stop)
        update["stop"] = list(dict.fromkeys([*own, *profile.stop]))
    if profile.prompt.system_prompt:
        update |= _system_prompt(body, profile.prompt)
    return body.model_copy(update=update) if update else body


def _defaults(body: RequestModel, defaults: dict[str, Any]) -> dict[str, Any]:
    """The defaults, with `logprobs` in the endpoint's type: a number or a boolean."""
    wanted, n_top = defaults.get("logprobs"), defaults.get("top_logprobs")
    if wanted is None and n_top is None:
        return defaults
    others = {key: value for key, value in defaults.items() if not key.endswith("logprobs")}
    if not wanted or getattr(body, "logprobs", None) is not None:
        return others
    n_top = (0 if wanted is True else wanted) if n_top is None else n_top
    if isinstance(body, CompletionRequest):
        return {**others, "logprobs": min(n_top, MAX_LOGPROBS)}
    return {**others, "logprobs": True, "top_logprobs": n_top}


def _thinking(body: ChatRequest) -> dict[str, Any]:
    """LocalAI's `metadata.enable_thinking`, in our reasoning fields."""
    wanted = (body.metadata or {}).get("enable_thinking")
    if wanted not in ("true", "false") or body.enable_thinking is not None:
        return {}
    thinks = wanted == "true"
    return {"enable_thinking": thinks, "reasoning_effort": None if thinks else "none"}


def _system_prompt(body: RequestModel, prompt: PromptProfile) -> dict[str, Any]:
    """The configured system prompt for a conversation that has none.

    A template that shows it by itself gets it as a message only where functions are offered: these
    are described in a system message, which would take its place.
    """
    has_tools = bool(getattr(body, "tools", None) or getattr(body, "functions", None))
    if prompt.shows_system and not has_tools:
        return {}
    text = prompt.system_prompt
    if isinstance(body, ChatRequest) and not _has_system(body.messages):
        return {"messages": [Message(role="system", content=text), *body.messages]}
    if isinstance(body, ConversationFields) and body.system is None:
        return {} if _has_system(body.messages) else {"system": text}
    if isinstance(body, ResponseRequest) and body.instructions is None:
        return {} if _has_system(body.input) else {"instructions": text}
    return {}


def _has_system(messages: Iterable[Any]) -> bool:
    return any(getattr(message, "role", None) in ("system", "developer") for message in messages)


def _fits(body: RequestModel, name: str, value: Any) -> bool:
    """Whether a default is compatible with the fields of the request."""
    if name == "reasoning_effort" and value == "none":
        variables = getattr(body, "chat_template_kwargs", None) or {}
        return not (variables.get("enable_thinking") or getattr(body, "enable_thinking", None))
    if name == "grammar":
        return all(getattr(body, field, None) is None for field in ConstraintFields.model_fields)
    if name == "n":
        n_prompts = getattr(body, "n_prompts", 0) or len(getattr(body, "inputs", [0]))
        return getattr(body, "best_of", None) is None and n_prompts * int(value) <= MAX_CHOICES
    if name == "truncation":
        return isinstance(body, ChatRequest)
    if name == "echo":
        return getattr(body, "suffix", None) is None
    return True
