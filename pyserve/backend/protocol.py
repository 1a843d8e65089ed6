"""The `Backend` interface: a server's models, and leases of their engines, as a front sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from pyserve.engine.config import Adapter
from pyserve.engine.kernels import KernelFall
from pyserve.engine.protocol import Engine, EngineStats, ModelInfo
from pyserve.errors import ErrorInfo
from pyserve.models.profile import PLAIN, ModelProfile

ModelState = Literal["unloaded", "loading", "ready", "unloading", "failed", "stopped"]


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One served model.

    id: the name clients use. created: Unix seconds (the model file's modification time).
    info: set while `ready`. error: why it is `failed`. socket_path: the engine's socket.
    kernel_falls: the kernels that its engines could not use, from the highest.
    profile: what the model's configuration says about requests.
    n_bytes: the memory it takes when it is loaded, 0 = not known. model_path: its file.
    expires_at: when it is unloaded if nobody asks, in whole seconds of the monotonic clock; None:
    never. parent: of a model with a LoRA adapter, the id of the one that it shares an engine with.
    """

    id: str
    created: int
    state: ModelState
    info: ModelInfo | None = None
    error: ErrorInfo | None = None
    socket_path: str | None = None
    n_restarts: int = 0
    kernel_falls: tuple[KernelFall, ...] = ()
    profile: ModelProfile = PLAIN
    n_bytes: int = 0
    model_path: str = ""
    is_pinned: bool = False
    expires_at: int | None = None
    parent: str | None = None

    @property
    def engine_id(self) -> str:
        """The id of the model whose engine answers."""
        return self.parent or self.id


def with_adapters(statuses: Iterable[ModelStatus]) -> list[ModelStatus]:
    """The models, each followed by its variants with one LoRA adapter."""
    return [
        served
        for status in statuses
        for served in (status, *(_adapted(status, each) for each in status.profile.adapters))
    ]


def _adapted(status: ModelStatus, adapter: Adapter) -> ModelStatus:
    profile = msgspec.structs.replace(
        status.profile,
        lora={adapter.name: adapter.scale or 1.0},
        aliases=adapter.aliases,
    )
    return msgspec.structs.replace(
        status, id=adapter.model_id, parent=status.id, profile=profile, model_path=adapter.path
    )


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One of several engines of a model. host: where it runs. stats: what it told last."""

    model_id: str
    name: str
    host: str
    is_ready: bool
    stats: EngineStats


class Lease(Protocol):
    """The engine of a loaded model, which is not unloaded to make room until the release."""

    @property
    def engine(self) -> Engine: ...

    def release(self) -> None:
        """May come twice, and from any thread."""
        ...


@dataclass(frozen=True)
class EngineLease:
    """Implements `Lease`."""

    engine: Engine
    release: Callable[[], None]


class Backend(Protocol):
    """The served models. Any thread may call any method."""

    def models(self) -> list[ModelStatus]:
        """All served models, in the order they were named; never blocks on an engine."""
        ...

    def lease(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        keep_alive_s: float | None = None,
        is_look: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Lease:
        """Lease a model's engine; loads the model if need be, and waits up to `wait_s` for that.

        keep_alive_s: seconds until the idle model is unloaded; None: as configured, < 0: never.
        is_look: the model is not used: it leaves when it would have left, and is not loaded.
        on_wait: called about once a second meanwhile; what it raises ends the wait.
        Raises ModelNotFoundError, ModelLoadingError (details: retry_after_s), ModelLoadError, and
        for a look ModelNotLoadedError.
        """
        ...

    def load(self, model_id: str) -> None:
        """Start loading a model, even if its last load has just failed; does not wait.

        Raises ModelNotFoundError or UnavailableError.
        """
        ...

    def unload(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        is_forced: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Unload the model once its running requests have ended; forced: at once, failing them.

        on_wait: as of `lease`; what it raises does not keep the model from being unloaded.
        Returns when its memory is free. Raises ModelNotFoundError, or ModelBusyError when that
        takes longer than `wait_s`; it is unloaded nevertheless.
        """
        ...

    def reload(self) -> None:
        """Read the models' configuration again. Raises PyserveError if nothing was changed."""
        ...

    def engines(self) -> Mapping[str, Engine]:
        """The engines of loaded models, for their counters. Loads none."""
        ...

    def replicas(self) -> list[ReplicaStatus]:
        """The engines of models that may have several; others are not in it."""
        ...

    @property
    def n_revived(self) -> int:
        """The number of this process's requests that were resumed in another engine."""
        ...

    def close(self) -> None: ...
