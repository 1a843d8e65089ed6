"""Request body of POST /v1/embeddings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import INT32_MAX, ModelName, RequestModel, check_text_size
from pyserve.schemas.completions import TokenIds, prompt_tag
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.keep_alive import KeepAlive
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.unsupported import VECTORS, FieldTable

MAX_INPUTS = 2048
InputText = Annotated[str, Field(min_length=1)]
InputTexts = Annotated[list[InputText], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
InputLists = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
Input = Annotated[
    Annotated[InputText, Tag("<text>")]
    | Annotated[InputTexts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[InputLists, Tag("<token_lists>")],
    Discriminator(
        prompt_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string, a list of strings, token ids or lists of token ids",
    ),
]


class EmbeddingRequest(RequestModel):
    """Texts or token lists to embed.

    encoding_format: base64 is that of little-endian float32. dimensions: the first so many numbers
    of each vector, made 1 long again; absent: all.
    """

    foreign: ClassVar[FieldTable] = VECTORS

    model: ModelName | None = None
    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    lora: LoraChoices | None = None
    user: Label | None = None
    keep_alive: KeepAlive | None = None

    @model_validator(mode="after")
    def _text_is_bounded(self) -> EmbeddingRequest:
        texts = [text for text in self.inputs if isinstance(text, str)]
        check_text_size(sum(len(text.encode()) for text in texts), "input")
        return self

    @property
    def inputs(self) -> list[str | list[int]]:
        """One element for each vector."""
        if isinstance(self.input, str):
            return [self.input]
        tokens = [part for part in self.input if isinstance(part, int)]
        return [tokens] if tokens else [part for part in self.input if not isinstance(part, int)]
