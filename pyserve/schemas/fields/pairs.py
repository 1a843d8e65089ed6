"""`truncate`, `raw_scores` ...: how pairs of texts are read and scored."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pyserve.schemas.common import invalid
from pyserve.schemas.fields.prompt_cut import PromptCutFields
from pyserve.schemas.fields.scheduling import SchedulingFields


class PairFields(PromptCutFields, SchedulingFields):
    """Fields of all endpoints that score pairs of texts.

    truncate: a text that is too long for the model is cut, at truncation_direction, instead of
    refused; truncate_prompt_tokens: and where a whole pair has more tokens than this, at
    truncation_side. raw_scores: logits instead of scores from 0 to 1; use_activation is vLLM's name
    of the opposite.
    """

    truncate: bool | None = None
    truncation_direction: Literal["Right", "right", "Left", "left"] | None = None
    raw_scores: bool | None = None
    use_activation: bool | None = None

    @model_validator(mode="after")
    def _one_kind_of_scores(self) -> PairFields:
        if self.raw_scores is not None and self.use_activation is self.raw_scores:
            raise invalid("invalid_value", "must be the opposite of raw_scores", "use_activation")
        return self

    @property
    def wants_raw(self) -> bool:
        """Logits are asked for."""
        return bool(self.raw_scores) or self.use_activation is False

    @property
    def cuts_begin(self) -> bool:
        """What is cut of a text is its beginning."""
        return (self.truncation_side or self.truncation_direction or "").lower() == "left"
