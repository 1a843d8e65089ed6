"""A backend over engines that already run in this process: for tests and for library use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from pyserve.engine.protocol import Engine
from pyserve.errors import ModelLoadingError, ModelNotFoundError, from_info
from pyserve.supervisor.backend import ModelStatus


class StaticBackend:
    """Implements `Backend`. Any thread may call any method. `close` closes the engines.

    engines: the ready models by id. others: models in another state, listed after them.
    """

    def __init__(self, engines: Mapping[str, Engine], others: Iterable[ModelStatus] = ()) -> None:
        self._engines = dict(engines)
        self._others = {status.id: status for status in others}
        self._created = int(time.time())

    def models(self) -> list[ModelStatus]:
        ready = [
            ModelStatus(id=name, created=self._created, state="ready", info=engine.info())
            for name, engine in self._engines.items()
        ]
        return [*ready, *self._others.values()]

    def engine(self, model_id: str, *, wait_s: float = 0.0) -> Engine:
        """As in `Backend`; never waits, because nothing here ever finishes loading."""
        del wait_s
        if model_id in self._engines:
            return self._engines[model_id]
        status = self._others.get(model_id)
        if status is None:
            raise ModelNotFoundError(f"model {model_id!r} not found", param="model")
        if status.error is not None:
            raise from_info(status.error)
        raise ModelLoadingError(f"model {model_id!r} is {status.state}", retry_after_s=1)

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()
