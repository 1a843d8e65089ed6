"""A `Backend` of engines that run in this process: for tests and library use."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pyserve.backend.protocol import EngineLease, ModelStatus, ReplicaStatus
from pyserve.engine.protocol import Engine
from pyserve.errors import (
    ModelBusyError,
    ModelLoadingError,
    ModelNotFoundError,
    ModelNotLoadedError,
    from_info,
)
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.process.once import once


class StaticBackend:
    """Implements `Backend`. Any thread may call any method. `close` closes the engines.

    engines: the ready models by id; unloading one only changes its status. others: models in
    another state, listed after them. profiles: models' profiles, by id. keep_alives: those that
    leases asked for.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        others: Iterable[ModelStatus] = (),
        profiles: Mapping[str, ModelProfile] | None = None,
    ) -> None:
        self._profiles = profiles or {}
        self._engines = dict(engines)
        self._others = {status.id: status for status in others}
        self._created = int(time.time())
        self._unloaded: set[str] = set()
        self._n_leases: Counter[str] = Counter()
        self.keep_alives: list[float | None] = []

    def models(self) -> list[ModelStatus]:
        return [*(self._status(model_id) for model_id in self._engines), *self._others.values()]

    def lease(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        keep_alive_s: float | None = None,
        is_look: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> EngineLease:
        """As in `Backend`; never waits, because nothing here ever finishes loading."""
        del wait_s
        if is_look and model_id in self._unloaded:
            raise ModelNotLoadedError.of(model_id)
        if model_id in self._engines:
            self._unloaded.discard(model_id)
            self._n_leases[model_id] += 1
            if not is_look:
                self.keep_alives.append(keep_alive_s)
            return EngineLease(self._engines[model_id], once(partial(self._release, model_id)))
        status = self._find(model_id)
        if status.error is not None:
            raise from_info(status.error)
        on_wait()
        raise ModelLoadingError(f"model {model_id!r} is {status.state}", retry_after_s=1)

    def load(self, model_id: str) -> None:
        if model_id not in self._engines:
            self._find(model_id)
        self._unloaded.discard(model_id)

    def unload(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        is_forced: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """As in `Backend`; never waits, and forced does nothing to running requests."""
        del wait_s
        if model_id not in self._engines:
            self._find(model_id)
        if self._n_leases[model_id] > 0 and not is_forced:
            on_wait()
            raise ModelBusyError(f"requests run in model {model_id!r}", retry_after_s=1)
        self._unloaded.add(model_id)

    def reload(self) -> None:
        """There is no configuration to read."""

    def engines(self) -> dict[str, Engine]:
        return {
            name: engine for name, engine in self._engines.items() if name not in self._unloaded
        }

    def replicas(self) -> list[ReplicaStatus]:
        return []

    @property
    def n_revived(self) -> int:
        return 0

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()

    def _status(self, model_id: str) -> ModelStatus:
        is_loaded = model_id not in self._unloaded
        return ModelStatus(
            id=model_id,
            created=self._created,
            state="ready" if is_loaded else "unloaded",
            info=self._engines[model_id].info() if is_loaded else None,
            profile=self._profiles.get(model_id, PLAIN),
        )

    def _release(self, model_id: str) -> None:
        self._n_leases[model_id] -= 1

    def _find(self, model_id: str) -> ModelStatus:
        status = self._others.get(model_id)
        if status is None:
            raise ModelNotFoundError(f"model {model_id!r} not found", param="model")
        return status
