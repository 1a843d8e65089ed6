from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyserve.config import ServeConfig
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec
from tests.support.clocks import RunningClock
from tests.support.pools import run_until


@pytest.fixture
def clock() -> RunningClock:
    """Moved on by less than engines may be silent."""
    return RunningClock()


@pytest.fixture
def make_pool(tmp_path: Path, clock: RunningClock) -> Iterator[Callable[..., ModelPool]]:
    """Makes pools of fake engines, which are ended with the test."""
    tmp_path.chmod(0o700)
    pools: list[ModelPool] = []

    def make(*specs: ModelSpec, available: int = 0, **settings: object) -> ModelPool:
        config = ServeConfig(engine="fake", **settings)
        pool = ModelPool(config, tmp_path, clock, lambda: available)
        pools.append(pool)
        pool.configure(specs)
        pool.check()
        return pool

    yield make
    for pool in pools:
        for slot in pool.all_slots:
            slot.kill()
        run_until(pool, lambda p=pool: sum(not s.reap() for s in p.all_slots) == 0, check=False)
