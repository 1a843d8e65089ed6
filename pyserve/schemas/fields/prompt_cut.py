"""`truncate_prompt_tokens`, `truncation_side`: vLLM's fields that cut prompts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pyserve.schemas.common import INT64_MAX, RequestModel, invalid

FITTING = -1


class PromptCutFields(RequestModel):
    """truncate_prompt_tokens: of a longer prompt so many tokens are kept; -1: as many as fit.

    truncation_side: where the others are left out.
    """

    truncate_prompt_tokens: Annotated[int, Field(ge=FITTING, le=INT64_MAX)] | None = None
    truncation_side: Literal["left", "right"] | None = None

    @field_validator("truncate_prompt_tokens")
    @classmethod
    def _something_is_kept(cls, value: int | None) -> int | None:
        if value == 0:
            raise invalid("invalid_value", "is 0, and must be -1 or at least 1")
        return value
