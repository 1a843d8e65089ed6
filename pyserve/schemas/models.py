"""Request bodies of POST /models/load, POST /models/unload and POST /cache/clear."""

from __future__ import annotations

from pyserve.schemas.common import ModelName, RequestModel


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
