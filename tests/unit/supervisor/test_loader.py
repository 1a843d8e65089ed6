"""Which models are in memory, and which leave for others."""

from __future__ import annotations

from pyserve.models.model_file import Limits
from pyserve.supervisor.loader import DRAIN_AFTER_S
from tests.support.pools import MIB, Front, run_until, spec, states


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


def test_a_model_can_be_loaded_without_a_request_and_idle_ones_leave_for_it(make_pool, clock):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    front.release(front.use("a"))
    assert front.replies[front.load("b")].error is None
    run_until(pool, lambda: states(pool) == {"a": "unloaded", "b": "ready"})
    assert front.replies[front.load("x")].error.code == "model_not_found"


def test_a_crashed_engine_keeps_its_place_and_comes_back(make_pool):
    pool = make_pool(spec("a"), spec("b"), max_loaded_models=1)
    front = Front(pool)
    front.use("a")
    pid = pool.slots[0].pid
    pool.slots[0].kill()
    front.acquire("b")
    run_until(pool, lambda: states(pool)["a"] == "ready" and pool.slots[0].pid != pid)
    assert states(pool)["b"] == "unloaded"
