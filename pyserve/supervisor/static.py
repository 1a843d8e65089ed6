"""A backend over engines that already run in this process: for tests and for library use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pyserve.engine.protocol import Engine
from pyserve.errors import ModelLoadingError, ModelNotFoundError, UnavailableError, from_info
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.supervisor.backend import ModelStatus


class StaticLease:
    """Implements `Lease` for an engine that stays."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def release(self) -> None:
        """There is nothing to give back."""


class StaticBackend:
    """Implements `Backend`. Any thread may call any method. `close` closes the engines.

    engines: the ready models by id. others: models in another state, listed after them.
    profiles: what requests get of models' configurations, by id.
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

    def models(self) -> list[ModelStatus]:
        ready = [
            ModelStatus(
                id=name,
                created=self._created,
                state="ready",
                info=engine.info(),
                profile=self._profiles.get(name, PLAIN),
            )
            for name, engine in self._engines.items()
        ]
        return [*ready, *self._others.values()]

    def lease(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        keep_alive_s: float | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> StaticLease:
        """As in `Backend`; waits for nothing, because nothing here ever finishes loading."""
        del wait_s, keep_alive_s
        if model_id in self._engines:
            return StaticLease(self._engines[model_id])
        status = self._find(model_id)
        if status.error is not None:
            raise from_info(status.error)
        on_wait()
        raise ModelLoadingError(f"model {model_id!r} is {status.state}", retry_after_s=1)

    def unload(self, model_id: str, *, wait_s: float = 0.0, is_forced: bool = False) -> None:
        """Raises as in `Backend`; engines that were given stay."""
        del wait_s, is_forced
        if model_id in self._engines:
            raise UnavailableError(f"model {model_id!r} cannot be unloaded", retry_after_s=1)
        self._find(model_id)

    def reload(self) -> None:
        """There is no configuration to read."""

    def _find(self, model_id: str) -> ModelStatus:
        status = self._others.get(model_id)
        if status is None:
            raise ModelNotFoundError(f"model {model_id!r} not found", param="model")
        return status

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()
