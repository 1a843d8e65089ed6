"""`truncation: {"type": "compact"}`: a conversation that is too long gets a summary."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pyserve.schemas.common import INT32_MAX, RequestModel

MIN_COMPACTED_TOKENS = 1000


class Compact(RequestModel):
    """Summarize the older turns once the prompt has more tokens than `threshold`.

    Without one: once it does not fit the context, or more than the share `ratio` of it. tail_tokens
    stay at the end, at most; max_summary_tokens: of the summary. overflow: auto leaves out the
    oldest turns of what is too long even then.
    """

    type: Literal["compact"]
    threshold: Annotated[int, Field(ge=MIN_COMPACTED_TOKENS)] | None = None
    ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    tail_tokens: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = None
    max_summary_tokens: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    overflow: Literal["auto", "disabled"] | None = None


def _tag(value: Any) -> str:
    return "<object>" if isinstance(value, dict | Compact) else "<name>"


Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], Tag("<name>")] | Annotated[Compact, Tag("<object>")],
    Discriminator(_tag),
]
