"""Request body of POST /v1/messages/batches."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pyserve.batch.lines import MAX_LINES, MAX_MODELS
from pyserve.schemas.common import RequestModel, invalid


class BatchedMessage(RequestModel):
    """One request of a batch. params: a body of /v1/messages, which is checked when it runs."""

    custom_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: dict[str, Any]


class MessageBatchRequest(RequestModel):
    """Conversations to be answered within a day."""

    requests: Annotated[
        list[BatchedMessage], Field(min_length=1, max_length=MAX_LINES, fail_fast=True)
    ]

    @model_validator(mode="after")
    def _fits_together(self) -> MessageBatchRequest:
        places: dict[str, int] = {}
        for i, each in enumerate(self.requests):
            first = places.setdefault(each.custom_id, i)
            if first != i:
                message = f"is that of requests.{first} already"
                raise invalid("invalid_value", message, f"requests.{i}.custom_id")
        models = {model for model in self.models if isinstance(model, str)}
        if len(models) > MAX_MODELS:
            message = f"name {len(models)} models, at most {MAX_MODELS}"
            raise invalid("invalid_value", message, "requests")
        return self

    @property
    def models(self) -> list[Any]:
        """What the requests say as their models."""
        return [each.params.get("model") for each in self.requests]
