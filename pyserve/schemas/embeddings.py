"""Request body of POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import (
    INT32_MAX,
    ModelName,
    RenamedFields,
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
from pyserve.schemas.fields.prompt_cut import PromptCutFields
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
AnyInput = Annotated[
    Annotated[InputText, Tag("<text>")]
    | Annotated[InputTexts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[InputLists, Tag("<token_lists>")]
    | Annotated[MixedPrompts, Tag("<mixed>")],
    BY_FORM,
    AsPlainPrompt,
]


def inputs_of(given: str | Sequence[Any]) -> list[str | list[int]]:
    """One element for each text or list of tokens of an `Input`."""
    if isinstance(given, str):
        return [given]
    tokens = [part for part in given if isinstance(part, int)]
    return [tokens] if tokens else [part for part in given if not isinstance(part, int)]


class EmbeddingRequest(RenamedFields, PromptCutFields):
    """Texts or token lists to embed, or both mixed, as one input or as several.

    content: llama-server's name of input. encoding_format: base64 is that of little-endian float32.
    dimensions: the first so many numbers of each vector, made 1 long again; absent: all.
    """

    foreign: ClassVar[FieldTable] = VECTORS
    other_names: ClassVar[Mapping[str, str]] = {"content": "input"}
    usual_name: ClassVar[str] = "input"

    model: ModelName | None = None
    input: AnyInput | None = None
    content: AnyInput | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    lora: LoraChoices | None = None
    user: Label | None = None
    keep_alive: KeepAlive | None = None

    @model_validator(mode="after")
    def _there_is_an_input(self) -> EmbeddingRequest:
        if self.input is None and self.content is None:
            raise invalid("missing_required_parameter", "is required", self.usual_name)
        return self

    @model_validator(mode="after")
    def _text_is_bounded(self) -> EmbeddingRequest:
        check_text_size(sum(len(text.encode()) for text in self.texts), self.input_param)
        return self

    @property
    def input_param(self) -> str:
        """The name under which the inputs came."""
        return "input" if self.content is None else "content"

    @property
    def mixed(self) -> list[str | Parts] | None:
        """The inputs, if they are neither texts nor token ids alone."""
        return self.input if is_mixed(self.input) else None

    @property
    def texts(self) -> list[str]:
        if self.mixed is not None:
            return mixed_texts(self.mixed)
        return [text for text in self.inputs if isinstance(text, str)]

    @property
    def inputs(self) -> list[str | list[int]]:
        """One element for each vector. REQUIRES: they are not mixed."""
        return inputs_of(self.input or "")


class NativeEmbeddingRequest(EmbeddingRequest):
    """The same as llama-server's own endpoint takes it."""

    unsupported: ClassVar[Unsupported] = {"dimensions": (), "encoding_format": ("float",)}
    usual_name: ClassVar[str] = "content"
