"""Request body of POST /v1/classify."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from pyserve.schemas.common import ModelName, check_text_size, invalid
from pyserve.schemas.embeddings import Input, inputs_of
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.keep_alive import KeepAlive
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.prompt_cut import PromptCutFields
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.unsupported import VECTORS, FieldTable


class ClassifyRequest(PromptCutFields, SchedulingFields):
    """Texts or token lists to classify. use_activation: false gives logits; activation is its
    older name."""

    foreign: ClassVar[FieldTable] = VECTORS

    model: ModelName | None = None
    input: Input
    use_activation: bool | None = None
    activation: bool | None = None
    lora: LoraChoices | None = None
    user: Label | None = None
    keep_alive: KeepAlive | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ClassifyRequest:
        texts = [text for text in self.inputs if isinstance(text, str)]
        check_text_size(sum(len(text.encode()) for text in texts), "input")
        if None not in (self.activation, self.use_activation) and (
            self.activation != self.use_activation
        ):
            raise invalid("invalid_value", "means the same as use_activation", "activation")
        return self

    @property
    def inputs(self) -> list[str | list[int]]:
        return inputs_of(self.input)

    @property
    def wants_raw(self) -> bool:
        """Logits are asked for."""
        return False in (self.use_activation, self.activation)
