"""`num_ctx`, `options.num_ctx`: Ollama's fields for the context, here a request's own limit."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from pyserve.schemas.common import INT32_MAX, RenamedFields, RequestModel, invalid
from pyserve.schemas.unsupported import OPTIONS, FieldTable

NumCtx = Annotated[int, Field(ge=2, le=INT32_MAX)]


class Options(RequestModel):
    """Ollama's options. Those of sampling are fields of the request itself."""

    foreign: ClassVar[FieldTable] = OPTIONS

    num_ctx: NumCtx | None = None


class ContextFields(RenamedFields):
    """The most tokens of prompt and answer together, at most the model's context."""

    num_ctx: NumCtx | None = None
    options: Options | None = None

    @model_validator(mode="after")
    def _one_context(self) -> ContextFields:
        if self.num_ctx and self.context_limit != self.num_ctx:
            message = "means the same as num_ctx, and has another value"
            raise invalid("invalid_value", message, "options.num_ctx")
        return self

    @property
    def context_limit(self) -> int | None:
        """None: the model's context."""
        given = None if self.options is None else self.options.num_ctx
        return self.num_ctx if given is None else given
