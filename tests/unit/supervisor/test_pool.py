from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec

SOON_S = 60.0


def spec(model_id: str, **engine: object) -> ModelSpec:
    return ModelSpec(
        engine=EngineConfig(model_id=model_id, model_path="/dev/null", **engine), is_preloaded=True
    )


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ModelPool]:
    tmp_path.chmod(0o700)
    pool = ModelPool(ServeConfig(engine="fake"), tmp_path, time.monotonic)
    yield pool
    for slot in pool.all_slots:
        slot.kill()
    run_until(pool, lambda: all(slot.reap() for slot in pool.all_slots), check=False)


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


def test_a_new_configuration_leaves_unchanged_models_alone(pool):
    pool.configure([spec("a"), spec("b"), spec("c")])
    run_until(pool, lambda: set(states(pool).values()) == {"ready"})
    pids = [slot.pid for slot in pool.slots]
    pool.configure([spec("d"), spec("a"), spec("b", n_ctx=64)])
    assert states(pool) == {"d": "loading", "a": "ready", "b": "loading"}
    assert len(pool.all_slots) == 5
    run_until(pool, lambda: set(states(pool).values()) == {"ready"} and len(pool.all_slots) == 3)
    assert pool.slots[1].pid == pids[0]
    assert not set(pids[1:]) & {slot.pid for slot in pool.slots}
