"""Request bodies of /v1/conversations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pyserve.schemas.common import RequestModel
from pyserve.schemas.fields.accepted import Metadata
from pyserve.schemas.input_items import InputItem

MAX_ADDED = 20
AddedItems = Annotated[list[InputItem], Field(max_length=MAX_ADDED, fail_fast=True)]


class ConversationRequest(RequestModel):
    """A conversation to begin, maybe with items."""

    items: AddedItems | None = None
    metadata: Metadata | None = None


class ConversationUpdate(RequestModel):
    """New metadata of a conversation."""

    metadata: Metadata


class ConversationItems(RequestModel):
    """Items to append to a conversation."""

    items: Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ADDED, fail_fast=True)]
