"""Request body of POST /infill, as editors send it to llama-server."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from pyserve.schemas.common import RequestModel, check_text_size
from pyserve.schemas.fields.sampling import Samplers
from pyserve.schemas.native import NativeRequest
from pyserve.schemas.unsupported import GENERATION, FieldTable, Unsupported

MAX_EXTRA = 256
# Editors always send these: how deep the answer is indented, and how long a prompt may take.
HINTS: Unsupported = {"n_indent": (0,), "t_max_prompt_ms": (0, -1)}


def _without_infill(value: object) -> object:
    """The samplers without `infill`, which is not here, and which editors ask for."""
    if isinstance(value, str):
        return value.replace("i", "")
    return [name for name in value if name != "infill"] if isinstance(value, list) else value


class ExtraText(RequestModel):
    """A part of another file."""

    text: str
    filename: str | None = None


class InfillRequest(NativeRequest):
    """A place in a text to fill in: what is before it, and what is after it.

    prompt: what stands between input_prefix and the answer. input_extra: parts of other files.
    samplers: `infill` is left out of them.
    """

    foreign: ClassVar[FieldTable] = FieldTable(
        {name: neutral for name, neutral in GENERATION.refused.items() if name not in HINTS},
        {**GENERATION.named, **HINTS},
    )

    input_prefix: str
    input_suffix: str
    input_extra: Annotated[list[ExtraText], Field(max_length=MAX_EXTRA, fail_fast=True)] | None = (
        None
    )
    prompt: str | None = None
    samplers: Annotated[Samplers, BeforeValidator(_without_infill)] | None = None

    @model_validator(mode="after")
    def _texts_are_bounded(self) -> InfillRequest:
        extra = [part for each in self.input_extra or [] for part in (each.text, each.filename)]
        n_bytes = sum(len(text.encode()) for text in extra if text)
        check_text_size(n_bytes, "input_extra")
        for name in ("input_prefix", "input_suffix", "prompt"):
            n_bytes += len((getattr(self, name) or "").encode())
            check_text_size(n_bytes, name)
        return self
