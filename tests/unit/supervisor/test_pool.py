from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pyserve.backend.messages import Acquire, Load, Reply, Unload
from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.models.model_file import Limits
from pyserve.supervisor.loader import DRAIN_AFTER_S
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec

SOON_S = 60.0
MIB = 1 << 20


class Clock:
    """Time that a test can move on, by less than engines may be silent."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


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

    def use(self, model_id: str, keep_alive_s: float | None = None) -> int:
        """Have the model loaded, and hold it."""
        lease = self.acquire(model_id, keep_alive_s)
        run_until(self._pool, lambda: lease in self.replies)
        assert self.replies[lease].error is None
        return lease

    def release(self, lease: int) -> None:
        self._pool.release(self, lease)

    def _note(self, reply: Reply) -> None:
        self.replies[reply.call_id] = reply


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_pool(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., ModelPool]]:
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


def test_a_new_configuration_leaves_unchanged_models_alone(make_pool):
    pool = make_pool(*(spec(name, preload=True) for name in "abc"))
    run_until(pool, lambda: set(states(pool).values()) == {"ready"})
    pids = [slot.pid for slot in pool.slots]
    pool.configure([spec("d"), spec("a", preload=True), spec("b", preload=True, n_ctx=64)])
    assert len(pool.all_slots) == 5
    pool.check()
    assert states(pool) == {"d": "unloaded", "a": "ready", "b": "loading"}
    run_until(pool, lambda: states(pool)["b"] == "ready" and len(pool.all_slots) == 3)
    assert pool.slots[1].pid == pids[0]
    assert not set(pids[1:]) & {slot.pid for slot in pool.slots}


def test_requests_end_in_the_old_engine_while_new_ones_get_the_new(make_pool):
    pool = make_pool(spec("a"))
    front = Front(pool)
    old = front.use("a")
    old_slot = pool.slots[0]
    pool.configure([spec("a", n_ctx=64)])
    new = front.use("a")
    assert front.replies[new].socket_path != front.replies[old].socket_path
    assert old_slot.is_running
    front.release(old)
    run_until(pool, lambda: not old_slot.is_running)
    assert states(pool) == {"a": "ready"}


def test_first_requests_load_the_model_once(make_pool):
    pool = make_pool(spec("a"), spec("b"))
    assert states(pool) == {"a": "unloaded", "b": "unloaded"}
    front, other = Front(pool), Front(pool)
    first, second = front.acquire("a"), other.acquire("a")
    pool.check()
    assert states(pool) == {"a": "loading", "b": "unloaded"}
    run_until(pool, lambda: len(front.replies) == len(other.replies) == 1)
    assert front.replies[first].socket_path == other.replies[second].socket_path
    assert pool.statuses()[0].n_restarts == 0


def test_an_unknown_model_is_refused_at_once(make_pool):
    front = Front(make_pool(spec("a")))
    assert front.replies[front.acquire("x")].error.code == "model_not_found"
    assert front.replies[front.unload("x")].error.code == "model_not_found"


def test_a_failed_load_is_told_to_all_and_leaves_others_alone(make_pool, clock):
    config = spec("bad").engine
    pool = make_pool(spec("a"), ModelSpec(engine=config), load_timeout_s=0.001)
    front = Front(pool)
    waiting = [front.acquire("bad"), front.acquire("bad")]
    run_until(pool, lambda: len(front.replies) == 2)
    for lease in waiting:
        assert front.replies[lease].error.code == "model_load_failed"
        assert front.replies[lease].error.details["retry_after_s"] >= 1
    assert states(pool) == {"a": "unloaded", "bad": "failed"}
    again = front.acquire("bad")
    pool.check()
    assert front.replies[again].error.code == "model_load_failed"
    clock.ahead_s += 10
    front.acquire("bad")
    pool.check()
    assert states(pool)["bad"] == "loading"


def test_the_idle_model_used_least_recently_makes_room(make_pool):
    pool = make_pool(*(spec(name) for name in "abc"), max_loaded_models=2)
    front = Front(pool)
    held = front.use("a")
    front.release(front.use("b"))
    front.release(held)
    front.use("c")
    assert states(pool) == {"a": "ready", "b": "unloaded", "c": "ready"}


def test_predicted_memory_decides_as_well(make_pool):
    pool = make_pool(*(spec(name, mib=600) for name in "abc"), available=2000 * MIB)
    front = Front(pool)
    for name in "abc":
        front.release(front.use(name))
    assert sorted(states(pool).values()) == ["ready", "ready", "ready"]
    limited = make_pool(*(spec(name, mib=600) for name in "abc"), memory_limit_mib=1100)
    front = Front(limited)
    front.release(front.use("a"))
    assert limited.statuses()[0].n_bytes < 600 * MIB, "what the engine says replaces the prediction"
    front.release(front.use("b"))
    front.release(front.use("c"))
    assert states(limited)["c"] == "ready"


def test_a_model_that_can_never_fit_is_refused(make_pool):
    pool = make_pool(spec("a"), spec("big", mib=5000), memory_limit_mib=1000)
    front = Front(pool)
    front.release(front.use("a"))
    lease = front.acquire("big")
    pool.check()
    error = front.replies[lease].error
    assert error.code == "model_load_failed"
    assert "5064 MiB" in error.message
    assert states(pool) == {"a": "ready", "big": "failed"}


def test_a_busy_model_is_not_unloaded_and_the_other_waits_for_it(make_pool):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    held, waiting = front.use("a"), front.acquire("b")
    for _ in range(20):
        pool.check()
    assert states(pool) == {"a": "ready", "b": "unloaded"}
    front.release(held)
    run_until(pool, lambda: waiting in front.replies)
    assert states(pool) == {"a": "unloaded", "b": "ready"}


def test_a_model_asked_for_long_gets_its_turn_although_another_is_always_busy(make_pool, clock):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    held, waiting = front.use("a"), front.acquire("b")
    pool.check()
    clock.ahead_s += DRAIN_AFTER_S + 10
    pool.check()
    late = front.acquire("a")
    pool.check()
    assert late not in front.replies, "it waits, so that the model becomes idle"
    front.release(held)
    run_until(pool, lambda: waiting in front.replies)
    assert states(pool) == {"a": "unloaded", "b": "ready"}
    front.release(waiting)
    run_until(pool, lambda: late in front.replies)
    assert states(pool) == {"a": "ready", "b": "unloaded"}


def test_nobody_is_kept_waiting_for_a_request_that_has_gone(make_pool, clock):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front, other = Front(pool), Front(pool)
    front.use("a")
    other.acquire("b")
    clock.ahead_s += DRAIN_AFTER_S + 10
    pool.check()
    pool.drop(other)
    lease = front.acquire("a")
    pool.check()
    assert front.replies[lease].socket_path


def test_a_front_that_is_gone_uses_nothing(make_pool):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front, other = Front(pool), Front(pool)
    front.use("a")
    pool.drop(front)
    other.use("b")
    assert states(pool) == {"a": "unloaded", "b": "ready"}


def test_pinned_models_are_loaded_and_stay(make_pool, clock):
    pool = make_pool(spec("a", is_pinned=True, ttl_s=1.0), spec("b"), max_loaded_models=1)
    run_until(pool, lambda: states(pool)["a"] == "ready")
    clock.ahead_s += 10
    front = Front(pool)
    lease = front.acquire("b")
    pool.check()
    assert "no room" in front.replies[lease].error.message
    assert states(pool)["a"] == "ready"


def test_preloading_goes_no_further_than_there_is_room(make_pool):
    pool = make_pool(*(spec(name, preload=True) for name in "abc"), max_loaded_models=2)
    run_until(pool, lambda: list(states(pool).values()) == ["ready", "ready", "unloaded"])
    for _ in range(20):
        pool.check()
    assert states(pool)["c"] == "unloaded"


def test_a_model_takes_so_many_requests_of_all_fronts_as_it_may(make_pool):
    pool = make_pool(spec("a", limits=Limits(max_concurrent=2, retry_after_s=7)))
    front, other = Front(pool), Front(pool)
    waiting, held = front.acquire("a"), other.use("a")
    error = front.replies[front.acquire("a")].error
    assert error.code == "queue_full"
    assert error.message == "the model a takes 2 requests at once, and 2 are in work"
    assert error.details == {"retry_after_s": 7}
    other.release(held)
    other.use("a")
    pool.drop(front)
    assert waiting in front.replies
    front.use("a")


def test_requests_that_move_to_the_next_engine_are_not_counted_twice(make_pool):
    pool = make_pool(spec("a", limits=Limits(max_concurrent=1)))
    front = Front(pool)
    front.use("a")
    successor = front.acquire("a", is_successor=True)
    pool.check()
    assert front.replies[successor].socket_path


def test_another_limit_needs_no_other_engine_and_counts_the_old_one(make_pool):
    pool = make_pool(spec("a"))
    front = Front(pool)
    front.use("a")
    pid = pool.slots[0].pid
    pool.configure([spec("a", limits=Limits(max_concurrent=1))])
    assert front.replies[front.acquire("a")].error.code == "queue_full"
    assert pool.slots[0].pid == pid
    pool.configure([spec("a", n_ctx=64, limits=Limits(max_concurrent=1))])
    assert front.replies[front.acquire("a")].error.code == "queue_full"


def test_models_of_one_group_are_not_loaded_together(make_pool):
    one, other = Limits(groups=frozenset("xy")), Limits(groups=frozenset("yz"))
    pool = make_pool(spec("a", limits=one), spec("b", limits=other), spec("c", preload=True))
    front = Front(pool)
    held = front.use("a")
    run_until(pool, lambda: states(pool)["c"] == "ready")
    waiting = front.acquire("b")
    for _ in range(20):
        pool.check()
    assert states(pool) == {"a": "ready", "b": "unloaded", "c": "ready"}
    front.release(held)
    run_until(pool, lambda: waiting in front.replies)
    assert states(pool) == {"a": "unloaded", "b": "ready", "c": "ready"}


def test_the_pinned_model_of_a_group_is_named_to_the_others(make_pool):
    group = Limits(groups=frozenset("x"))
    pool = make_pool(spec("a", is_pinned=True, limits=group), spec("b", limits=group))
    front = Front(pool)
    lease = front.acquire("b")
    pool.check()
    error = front.replies[lease].error
    assert error.code == "model_load_failed"
    assert error.message == "the model b shares a concurrency group with a, which is pinned"


def test_preloading_loads_the_first_of_a_group(make_pool):
    group = Limits(groups=frozenset("x"))
    pool = make_pool(*(spec(name, preload=True, limits=group) for name in "ab"))
    run_until(pool, lambda: states(pool) == {"a": "ready", "b": "unloaded"})
    for _ in range(20):
        pool.check()
    assert states(pool) == {"a": "ready", "b": "unloaded"}


def test_an_idle_model_is_unloaded_after_its_time(make_pool, clock):
    pool = make_pool(spec("a", ttl_s=5.0), spec("b"))
    front = Front(pool)
    lease = front.use("a")
    front.release(front.use("b"))
    clock.ahead_s += 10
    pool.check()
    assert states(pool) == {"a": "ready", "b": "ready"}, "a request runs in it"
    front.release(lease)
    pool.check()
    assert states(pool)["a"] == "ready"
    clock.ahead_s += 6
    assert pool.next_check_at() <= clock()
    run_until(pool, lambda: states(pool) == {"a": "unloaded", "b": "ready"})


def test_the_last_request_says_how_long_the_model_stays(make_pool, clock):
    pool = make_pool(spec("a", ttl_s=5.0))
    front = Front(pool)
    front.release(front.use("a", keep_alive_s=-1.0))
    clock.ahead_s += 10
    pool.check()
    assert states(pool) == {"a": "ready"}
    front.release(front.use("a", keep_alive_s=0.0))
    run_until(pool, lambda: states(pool) == {"a": "unloaded"})
    front.release(front.use("a"))
    clock.ahead_s += 4
    pool.check()
    assert states(pool) == {"a": "ready"}


def test_a_model_can_be_loaded_without_a_request_and_idle_ones_leave_for_it(make_pool, clock):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    front.release(front.use("a"))
    assert front.replies[front.load("b")].error is None
    run_until(pool, lambda: states(pool) == {"a": "unloaded", "b": "ready"})
    assert front.replies[front.load("x")].error.code == "model_not_found"


def test_a_failed_model_is_tried_again_when_somebody_says_so(make_pool):
    pool = make_pool(spec("a"), load_timeout_s=0.001)
    front = Front(pool)
    front.acquire("a")
    run_until(pool, lambda: states(pool) == {"a": "failed"})
    front.load("a")
    pool.check()
    assert states(pool) == {"a": "loading"}


def test_unloading_waits_for_running_requests_and_gives_all_memory_back(make_pool):
    pool = make_pool(spec("a", preload=True))
    front = Front(pool)
    lease = front.use("a")
    process = psutil.Process(pool.slots[0].pid)
    asked = front.unload("a")
    for _ in range(20):
        pool.check()
    assert states(pool) == {"a": "ready"}
    front.release(lease)
    run_until(pool, lambda: asked in front.replies)
    assert states(pool) == {"a": "unloaded"}
    assert not process.is_running()
    assert front.replies[asked].error is None


def test_forced_unloading_waits_for_nobody(make_pool):
    pool = make_pool(spec("a"))
    front = Front(pool)
    front.use("a")
    asked = front.unload("a", is_forced=True)
    run_until(pool, lambda: asked in front.replies)
    assert states(pool) == {"a": "unloaded"}


def test_unloading_what_is_not_loaded_is_done_at_once(make_pool):
    pool = make_pool(spec("a"))
    front = Front(pool)
    asked = front.unload("a")
    pool.check()
    assert front.replies[asked].error is None


def test_a_crashed_engine_keeps_its_place_and_comes_back(make_pool):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    front.use("a")
    pid = pool.slots[0].pid
    pool.slots[0].kill()
    front.acquire("b")
    run_until(pool, lambda: states(pool)["a"] == "ready" and pool.slots[0].pid != pid)
    assert states(pool)["b"] == "unloaded"
