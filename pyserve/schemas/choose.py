"""Request body of POST /v1/choose."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pyserve.schemas.chat import MAX_MESSAGES, Message
from pyserve.schemas.common import MAX_CHOICES, ModelName, check_text_size, invalid
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.context import ContextFields
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.scheduling import SchedulingFields
from pyserve.schemas.unsupported import VECTORS, FieldTable, Unsupported

MAX_CHOICE_CHARS = 4096
ChoiceText = Annotated[str, Field(min_length=1, max_length=MAX_CHOICE_CHARS)]


class ChooseRequest(ContextFields, SchedulingFields):
    """Texts of which one is to follow a conversation or a prompt.

    normalize: `length` compares the choices by the mean log-probability of their tokens.
    """

    foreign: ClassVar[FieldTable] = VECTORS
    unsupported: ClassVar[Unsupported] = {"tools": ([],), "functions": ([],)}

    model: ModelName | None = None
    messages: (
        Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
        | None
    ) = None
    prompt: str | None = None
    choices: Annotated[list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICES)]
    normalize: Literal["length"] | None = None
    lora: LoraChoices | None = None
    user: Label | None = None

    @model_validator(mode="after")
    def _there_is_one_prompt(self) -> ChooseRequest:
        if self.messages is None and self.prompt is None:
            raise invalid("missing_required_parameter", "is required, or prompt", "messages")
        if self.messages is not None and self.prompt is not None:
            raise invalid("invalid_value", "cannot be sent together with messages", "prompt")
        return self

    @model_validator(mode="after")
    def _texts_are_bounded(self) -> ChooseRequest:
        texts = [message.text for message in self.messages or []]
        param = "messages" if self.prompt is None else "prompt"
        n_bytes = sum(len(text.encode()) for text in [*texts, self.prompt or ""])
        check_text_size(n_bytes, param)
        check_text_size(n_bytes + sum(len(text.encode()) for text in self.choices), "choices")
        return self

    @model_validator(mode="after")
    def _choices_differ(self) -> ChooseRequest:
        first: dict[str, int] = {}
        for i, text in enumerate(self.choices):
            if first.setdefault(text, i) != i:
                message = f"is the same as choices.{first[text]}"
                raise invalid("invalid_value", message, f"choices.{i}")
        return self
