"""Model pools over fake engines, and fronts that ask them."""

from __future__ import annotations

import time

from pyserve.backend.messages import Acquire, Load, Reply, Unload
from pyserve.engine.config import EngineConfig
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec
from tests.support.limits import SOON_S

MIB = 1 << 20


def spec(model_id: str, *, preload: bool = False, mib: int = 0, **options: object) -> ModelSpec:
    engine = {name: options.pop(name) for name in ("n_ctx", "model_path") if name in options}
    config = EngineConfig(model_id=model_id, **({"model_path": "/dev/null"} | engine))
    return ModelSpec(engine=config, is_preloaded=preload, n_bytes=mib * MIB, **options)


class Front:
    """Asks the pool, and notes its answers."""

    def __init__(self, pool: ModelPool) -> None:
        self._pool = pool
        self._n_calls = 0
        self.replies: dict[int, Reply] = {}

    def acquire(self, model_id: str, keep_alive_s: float | None = None, **more: bool) -> int:
        self._n_calls += 1
        message = Acquire(
            call_id=self._n_calls, model_id=model_id, keep_alive_s=keep_alive_s, **more
        )
        self._pool.acquire(self, message, self._note)
        return self._n_calls

    def load(self, model_id: str) -> int:
        self._n_calls += 1
        self._pool.load(Load(call_id=self._n_calls, model_id=model_id), self._note)
        return self._n_calls

    def unload(self, model_id: str, *, is_forced: bool = False) -> int:
        self._n_calls += 1
        message = Unload(call_id=self._n_calls, model_id=model_id, is_forced=is_forced)
        self._pool.unload(self, message, self._note)
        return self._n_calls

    def use(self, model_id: str, keep_alive_s: float | None = None, **more: bool) -> int:
        """Have the model loaded, and hold it."""
        lease = self.acquire(model_id, keep_alive_s, **more)
        run_until(self._pool, lambda: lease in self.replies)
        assert self.replies[lease].error is None
        return lease

    def release(self, lease: int) -> None:
        self._pool.release(self, lease)

    def _note(self, reply: Reply) -> None:
        self.replies[reply.call_id] = reply


def run_until(pool: ModelPool, is_true, *, check: bool = True) -> None:
    """Do what the supervisor's loop does until `is_true`."""
    deadline = time.monotonic() + SOON_S
    while not is_true():
        assert time.monotonic() < deadline, pool.statuses()
        for slot in pool.all_slots:
            if slot.report is not None:
                slot.on_report()
        if check:
            pool.check()
        time.sleep(0.005)


def states(pool: ModelPool) -> dict[str, str]:
    return {status.id: status.state for status in pool.statuses()}
