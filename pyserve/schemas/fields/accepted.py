"""OpenAI's fields that are validated and have no effect here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pyserve.schemas.common import RequestModel

Label = Annotated[str, Field(max_length=512)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class AcceptedFields(RequestModel):
    """OpenAI's fields for its service's storage and users; they change nothing here."""

    user: Label | None = None
    metadata: Metadata | None = None
    store: bool | None = None
    safety_identifier: Label | None = None
    parallel_tool_calls: bool | None = None
