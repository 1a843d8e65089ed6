"""Request body of POST /v1/responses/compact."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from pyserve.schemas.common import ModelName, RequestModel, invalid
from pyserve.schemas.fields.accepted import AcceptedFields
from pyserve.schemas.input_items import Input
from pyserve.schemas.responses import ResponseRequest, StoredId
from pyserve.schemas.unsupported import GENERATION, FieldTable


class CompactRequest(AcceptedFields, RequestModel):
    """A conversation to be made shorter: its items, or the response that it ended with."""

    foreign: ClassVar[FieldTable] = GENERATION

    model: ModelName
    input: Input = Field(default_factory=list)
    previous_response_id: StoredId | None = None
    instructions: str | None = None

    @model_validator(mode="after")
    def _has_a_conversation(self) -> CompactRequest:
        if not self.input and self.previous_response_id is None:
            raise invalid("missing_required_parameter", "is required", "input")
        return self

    def as_response(self, n_max_tokens: int) -> ResponseRequest:
        """The conversation as a request for its summary, the likeliest one."""
        return ResponseRequest.model_construct(
            _fields_set={"input"},
            model=self.model,
            input=self.input,
            previous_response_id=self.previous_response_id,
            instructions=self.instructions,
            max_output_tokens=n_max_tokens,
            temperature=0.0,
            truncation="auto",
            reasoning_effort="none",
        )
