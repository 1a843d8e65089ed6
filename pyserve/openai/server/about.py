"""Objects of GET /, GET /health and GET /version, and the error object."""

from __future__ import annotations

import msgspec

from pyserve.engine.kernels import KernelFall


class About(msgspec.Struct, frozen=True):
    """The server's version, models and endpoints."""

    name: str
    version: str
    models: list[str]
    endpoints: list[str]


class ModelMemory(msgspec.Struct, frozen=True):
    """Bytes that are allocated for a model."""

    weights: int
    kv_cache: int
    compute: int


class ModelHealth(msgspec.Struct, frozen=True):
    """One served model. state: loading, ready or failed; resources are known when it is ready.

    n_threads compute steps that only decode, n_threads_batch steps with prompts.
    kernels: the set that computes; kernel_falls: better ones that cannot be used, and why.
    """

    id: str
    state: str
    n_restarts: int
    error: str | None
    n_threads: int | None = None
    n_threads_batch: int | None = None
    memory: ModelMemory | None = None
    kernels: str | None = None
    kernel_falls: tuple[KernelFall, ...] = ()


class Health(msgspec.Struct, frozen=True):
    """The state of a server that can answer."""

    status: str
    models: list[ModelHealth]


class Version(msgspec.Struct, frozen=True):
    """The server's version."""

    version: str


class ErrorObject(msgspec.Struct, frozen=True):
    """An error. param: the path of the field that is wrong, such as `messages.0.role`."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: ErrorObject
