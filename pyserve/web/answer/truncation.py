"""`truncation: "auto"`: drops the oldest turns that do not fit, and sets X-Dropped-Messages."""

from __future__ import annotations

from typing import Any, Literal

from pyserve.engine.protocol import Engine, TemplateOptions
from pyserve.openai.chat.truncation import Cut, cut_to_fit
from pyserve.web.request.notes import Notes

Truncation = Literal["auto", "disabled"]


def fitting(
    engine: Engine,
    messages: list[dict[str, Any]],
    truncation: Truncation | None,
    n_max_tokens: int | None,
    options: TemplateOptions | None,
    noted: Notes,
) -> Cut | None:
    """`messages` cut to fit by `cut_to_fit`; None unless truncation is auto.

    options: of the template, for counting tokens. noted: gets the number of dropped messages.
    """
    if truncation != "auto":
        return None
    n_ctx = engine.info().n_ctx

    def count(rest: list[dict[str, Any]]) -> int:
        return len(engine.tokenize_chat(rest, options))

    cut = cut_to_fit(messages, n_ctx, n_max_tokens, count)
    noted.n_dropped = cut.dropped_messages
    return cut
