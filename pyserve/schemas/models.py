"""Request bodies about models: which are got, named, loaded, and whose cache is cleared."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from pyserve.schemas.common import ModelName, RequestModel, invalid
from pyserve.schemas.unsupported import Unsupported

FurtherName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Reference = Annotated[str, Field(min_length=1, max_length=2048)]


class LoadRequest(RequestModel):
    """The model to load. wait: answer when it is loaded, which is the default."""

    model: ModelName
    wait: bool | None = None


class UnloadRequest(RequestModel):
    """The model to unload. wait: answer when its memory is free, which is the default.

    force: without waiting for its running requests, which fail.
    """

    model: ModelName
    wait: bool | None = None
    force: bool | None = None


class ClearCacheRequest(RequestModel):
    """The model whose computed prefixes are given up; None: all of them."""

    model: ModelName | None = None


class PullRequest(RequestModel):
    """The model to get: of the gallery, `owner/name[:QUANT]` of the hub, or a URL.

    sha256: that its file must have. name: a further name for it.
    """

    model: Reference
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None = None
    name: FurtherName | None = None


class ApplyRequest(RequestModel):
    """The same as LocalAI has it. id: of the gallery, maybe after `gallery@`."""

    unsupported: ClassVar[Unsupported] = {"files": ([],), "overrides": ({},)}

    id: Reference | None = None
    url: Reference | None = None
    name: FurtherName | None = None

    @model_validator(mode="after")
    def _names_one(self) -> ApplyRequest:
        if (self.id is None) == (self.url is None):
            raise invalid("invalid_value", "or url is needed, not both", "id")
        return self

    @property
    def model(self) -> str:
        return self.url or (self.id or "").rpartition("@")[2]


class NameRequest(RequestModel):
    """A further name for a model."""

    model: ModelName
    name: FurtherName
