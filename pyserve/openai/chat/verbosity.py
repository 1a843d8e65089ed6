"""`--verbosity-hints`: tells a model in words how much to say, where its template does not."""

from __future__ import annotations

from typing import Any

from pyserve.openai.tools.template_words import words_of
from pyserve.schemas.fields.reasoning import Verbosity

Message = dict[str, Any]

HINTS = {
    "low": "Answer in as few words as the question allows.",
    "high": "Answer in detail, with what helps to understand the answer.",
}


def with_hint(
    messages: list[Message], verbosity: Verbosity | None, chat_template: str
) -> list[Message]:
    """The messages with the verbosity as a sentence of the first system message.

    As they are where the template knows `verbosity`, and where there is nothing to say.
    """
    hint = HINTS.get(verbosity or "")
    if hint is None or "verbosity" in words_of(chat_template):
        return messages
    if messages and messages[0]["role"] == "system":
        told = {**messages[0], "content": f"{messages[0]['content']}\n\n{hint}"}
        return [told, *messages[1:]]
    return [{"role": "system", "content": hint}, *messages]
