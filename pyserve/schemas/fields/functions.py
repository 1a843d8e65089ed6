"""Functions that requests offer to a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pyserve.schemas.common import RequestModel
from pyserve.schemas.fields.constraints import FunctionName, JsonSchema


class FunctionDefinition(RequestModel):
    """A function; without parameters it takes none. strict: the schema is enforced or refused."""

    name: FunctionName
    description: Annotated[str, Field(max_length=65536)] | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None
