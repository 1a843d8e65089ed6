"""Fields of a request that become variables of the chat template, which may never read them."""

from __future__ import annotations

from pyserve.engine.model_info import ModelInfo
from pyserve.openai.tools.template_words import words_of
from pyserve.schemas.fields.reasoning import ReasoningFields

MAX_NAMED = 16
DEFAULT_VERBOSITY = "medium"


def unread_variables(given: ReasoningFields, info: ModelInfo) -> list[str]:
    """Fields that the model's templates do not mention, at most `MAX_NAMED`.

    None of chat_template_kwargs if the source of the templates is not known.
    """
    words = words_of(info.chat_template) | words_of(info.tool_template)
    unread = []
    if given.verbosity not in (None, DEFAULT_VERBOSITY) and "verbosity" not in words:
        unread.append("verbosity")
    if info.chat_template:
        names = given.chat_template_kwargs or {}
        unread += [f"chat_template_kwargs.{name}" for name in names if name not in words]
    return unread[:MAX_NAMED]
