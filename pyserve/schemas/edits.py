"""Request body of POST /v1/edits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pyserve.schemas.common import (
    TextOrTexts,
    as_list,
    check_n_choices,
    check_text_size,
    token_limit,
)
from pyserve.schemas.fields.constraints import ConstraintFields
from pyserve.schemas.fields.sampling import SamplingFields
from pyserve.schemas.fields.scheduling import SchedulingFields


class EditRequest(SamplingFields, ConstraintFields, SchedulingFields):
    """Texts to edit by an instruction. Edits are not streamed."""

    instruction: Annotated[str, Field(min_length=1)]
    input: TextOrTexts | None = None

    @model_validator(mode="after")
    def _text_is_bounded(self) -> EditRequest:
        check_n_choices(len(self.inputs), self.n)
        n_bytes = len(self.instruction.encode()) * len(self.inputs)
        check_text_size(n_bytes + sum(len(text.encode()) for text in self.inputs), "input")
        return self

    @property
    def n_max_tokens(self) -> int | None:
        """Most tokens of each answer; None: as many as fit. REQUIRES: max_tokens is given."""
        return token_limit(self.max_tokens)

    @property
    def inputs(self) -> list[str]:
        """The texts to edit; an absent input is one empty text."""
        return [""] if self.input is None else as_list(self.input)
