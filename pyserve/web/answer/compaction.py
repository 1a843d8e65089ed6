"""`context_management`, and `truncation: {"type": "compact"}`: older turns become a summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyserve.engine.protocol import Engine
from pyserve.openai.answer import Steps
from pyserve.openai.chat.compaction import Compacted, Summarizer, compacted, limits
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.context_limit import usable_context
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.answer.target import Target
from pyserve.web.request.notes import Notes

Message = dict[str, Any]


def shortened(
    engine: Engine,
    messages: list[Message],
    converse: Callable[[list[Message]], Conversation],
    body: ChatRequest | ResponseRequest,
    target: Target,
    noted: Notes,
) -> Steps[Compacted | None]:
    """What `messages` become, by requests to the engine; None: they stay as they are.

    converse: the conversation of such messages. noted: gets what the summary stands for.
    """
    if body.compact is None:
        return None
    sizes = limits(usable_context(engine, body.context_limit), body.compact)

    def count(some: list[Message]) -> int:
        made = converse(some)
        return len(engine.tokenize_chat(made.messages, made.options))

    summarizer = Summarizer(engine, body, sizes.n_summary, target.profile)
    is_all = isinstance(body, ResponseRequest) and body.is_compaction
    found = yield from compacted(messages, sizes, count, summarizer, is_all=is_all)
    noted.n_compacted = 0 if found is None else found.n_compacted
    if found is not None and found.n_dropped:
        noted.n_dropped = found.n_dropped
    return found
