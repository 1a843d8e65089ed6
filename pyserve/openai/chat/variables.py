"""Fields of a request that become variables of the chat template, which may never read them."""

from __future__ import annotations

from pyserve.engine.model_info import ModelInfo
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.chat.conversation import thinking_budget
from pyserve.openai.tools.recognition import may_think
from pyserve.openai.tools.template_words import words_of
from pyserve.schemas.fields.reasoning import BUDGETS, ReasoningFields

MAX_NAMED = 16
DEFAULT_VERBOSITY = "medium"
THINKING_FIELDS = (
    "reasoning_effort",
    "enable_thinking",
    "thinking",
    "think",
    "reasoning",
    *BUDGETS,
)


def unread_variables(
    given: ReasoningFields, info: ModelInfo, profile: ModelProfile = PLAIN
) -> list[str]:
    """Fields that the model's templates do not mention, at most `MAX_NAMED`.

    Those that ask for thoughts if the model has none, and what is said at the end of a budget if
    there is no budget; none of these and of chat_template_kwargs if
    the source of the templates is not known.
    """
    words = frozenset().union(*map(words_of, info.chat_templates))
    unread = []
    is_said = given.verbosity in (None, DEFAULT_VERBOSITY) or profile.has_verbosity_hints
    if not is_said and "verbosity" not in words:
        unread.append(given.verbosity_param)
    if given.enable_thinking and not _may_think(info, profile):
        unread += [name for name in THINKING_FIELDS if name in given.model_fields_set]
    has_budget = thinking_budget(given) is not None and _may_think(info, profile)
    if given.reasoning_budget_message and not has_budget:
        unread.append("reasoning_budget_message")
    if info.chat_template:
        names = given.chat_template_kwargs or {}
        unread += [f"chat_template_kwargs.{name}" for name in names if name not in words]
    return unread[:MAX_NAMED]


def _may_think(info: ModelInfo, profile: ModelProfile) -> bool:
    """Whether the model has thoughts; a template that is not known may have."""
    if info.has_chat_template and not info.file_template:
        return True
    return bool(profile.thinking.tags) or may_think(info.file_template)
