"""`truncation: {"type": "compact"}`: a conversation that is too long gets a summary."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pyserve.schemas.common import RequestModel

MIN_COMPACTED_TOKENS = 1000


class Compact(RequestModel):
    """Summarize the older turns once the prompt has more tokens than `threshold`.

    Without one: once it does not fit the context.
    """

    type: Literal["compact"]
    threshold: Annotated[int, Field(ge=MIN_COMPACTED_TOKENS)] | None = None


def _tag(value: Any) -> str:
    return "<object>" if isinstance(value, dict | Compact) else "<name>"


Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], Tag("<name>")] | Annotated[Compact, Tag("<object>")],
    Discriminator(_tag),
]
