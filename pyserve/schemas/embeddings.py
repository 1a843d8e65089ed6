"""Request body of POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import (
    INT32_MAX,
    ModelName,
    RenamedFields,
    RequestModel,
    check_text_size,
    invalid,
)
from pyserve.schemas.completions import TokenIds, prompt_tag
from pyserve.schemas.fields.accepted import Label
from pyserve.schemas.fields.keep_alive import KeepAlive
from pyserve.schemas.fields.lora import LoraChoices
from pyserve.schemas.fields.mixed import (
    AsPlainPrompt,
    MixedPrompts,
    Parts,
    is_mixed,
    mixed_texts,
)
from pyserve.schemas.native import BY_FORM
from pyserve.schemas.unsupported import VECTORS, FieldTable, Unsupported

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


def inputs_of(given: str | Sequence[Any]) -> list[str | list[int]]:
    """One element for each text or list of tokens of an `Input`."""
    if isinstance(given, str):
        return [given]
    tokens = [part for part in given if isinstance(part, int)]
    return [tokens] if tokens else [part for part in given if not isinstance(part, int)]


NativeInput = Annotated[
    Annotated[InputText, Tag("<text>")]
    | Annotated[InputTexts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[InputLists, Tag("<token_lists>")]
    | Annotated[MixedPrompts, Tag("<mixed>")],
    BY_FORM,
    AsPlainPrompt,
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
        check_text_size(sum(len(text.encode()) for text in self.texts), "input")
        return self

    @property
    def texts(self) -> list[str]:
        return [text for text in self.inputs if isinstance(text, str)]

    @property
    def inputs(self) -> list[str | list[int]]:
        """One element for each vector."""
        return inputs_of(self.input or "")


class NativeEmbeddingRequest(EmbeddingRequest, RenamedFields):
    """The same as llama-server's own endpoint takes it: `content` is another name of input.

    input: also texts and token ids mixed, as one input or as several.
    """

    unsupported: ClassVar[Unsupported] = {"dimensions": (), "encoding_format": ("float",)}
    other_names: ClassVar[Mapping[str, str]] = {"content": "input"}

    input: NativeInput | None = None  # type: ignore[assignment]  # wider than OpenAI's
    content: NativeInput | None = None

    @model_validator(mode="after")
    def _there_is_an_input(self) -> NativeEmbeddingRequest:
        if self.input is None and self.content is None:
            raise invalid("missing_required_parameter", "is required", "content")
        return self

    @property
    def mixed(self) -> list[str | Parts] | None:
        """The inputs, if they are neither texts nor token ids alone."""
        return self.input if is_mixed(self.input) else None

    @property
    def texts(self) -> list[str]:
        return super().texts if self.mixed is None else mixed_texts(self.mixed)
