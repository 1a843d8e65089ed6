"""The bodies of the models endpoints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Model(BaseModel):
    """One served model. created: Unix seconds; meta: facts about a loaded model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "pyserve"
    state: str
    meta: dict[str, Any] | None = None


class ModelList(BaseModel):
    """All served models."""

    object: Literal["list"] = "list"
    data: list[Model]
