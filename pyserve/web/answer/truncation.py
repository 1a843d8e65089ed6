"""`truncation: "auto"`: drops the oldest turns that do not fit, and sets X-Dropped-Messages."""

from __future__ import annotations

from typing import Any

from pyserve.engine.protocol import Engine
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.chat.truncation import Cut, cut_to_fit
from pyserve.openai.context_limit import usable_context
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.request.notes import Notes


def fitting(
    engine: Engine, conversation: Conversation, body: ChatRequest | ResponseRequest, noted: Notes
) -> Cut | None:
    """The conversation's messages cut to fit by `cut_to_fit`; None unless that is asked for.

    noted: gets the number of dropped messages.
    """
    if not body.cuts_turns:
        return None
    n_dropped = noted.n_dropped or 0

    def count(rest: list[dict[str, Any]]) -> int:
        return len(engine.tokenize_chat(rest, conversation.options))

    n_ctx = usable_context(engine, body.context_limit)
    cut = cut_to_fit(conversation.messages, n_ctx, body.n_max_tokens, count)
    noted.n_dropped = n_dropped + cut.dropped_messages
    return cut
