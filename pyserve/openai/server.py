"""What the server says about itself, and how it says that something went wrong."""

from __future__ import annotations

import msgspec


class About(msgspec.Struct, frozen=True):
    """What answers here."""

    name: str
    version: str
    models: list[str]
    endpoints: list[str]


class ModelHealth(msgspec.Struct, frozen=True):
    """One served model. state: loading, ready or failed."""

    id: str
    state: str
    n_restarts: int
    error: str | None


class Health(msgspec.Struct, frozen=True):
    """That a model can answer."""

    status: str
    models: list[ModelHealth]


class ErrorObject(msgspec.Struct, frozen=True):
    """What went wrong. param: the path of the field that is wrong, such as `messages.0.role`."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: ErrorObject
