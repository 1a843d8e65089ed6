"""`lora`: the LoRA adapters of a request and their scales; the body of POST /lora-adapters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pyserve.schemas.common import ModelName, RequestModel, invalid

MAX_ADAPTERS = 64
MAX_SCALE = 100.0
Scale = Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE)]


class LoraChoice(RequestModel):
    """One adapter: by its name, or by its place in `GET /lora-adapters`. scale: absent: 1."""

    name: Annotated[ModelName, Field(min_length=1)] | None = None
    id: Annotated[int, Field(ge=0, lt=MAX_ADAPTERS)] | None = None
    scale: Scale | None = None

    @model_validator(mode="after")
    def _is_named_once(self) -> LoraChoice:
        if (self.name is None) == (self.id is None):
            raise invalid("invalid_value", "needs one of name and id")
        return self


LoraChoices = Annotated[list[LoraChoice], Field(max_length=MAX_ADAPTERS, fail_fast=True)]


class ScaleAdaptersRequest(RequestModel):
    """Default scales of LoRA adapters; adapters left out are switched off.

    llama-server's clients send the list alone.
    """

    model: ModelName | None = None
    adapters: LoraChoices
