"""What the pool tells those who ask for models."""

from __future__ import annotations

import psutil

from pyserve.models.model_file import Limits
from pyserve.supervisor.spec import ModelSpec
from tests.support.pools import Front, run_until, spec, states


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
    assert pool.statuses()[0].expires_at is None
    front.release(front.use("a", keep_alive_s=60.0))
    assert 59 <= pool.statuses()[0].expires_at - clock() <= 61
    front.release(front.use("a", keep_alive_s=0.0))
    run_until(pool, lambda: states(pool) == {"a": "unloaded"})
    front.release(front.use("a"))
    clock.ahead_s += 4
    pool.check()
    assert states(pool) == {"a": "ready"}


def test_who_only_looks_changes_nothing_of_when_a_model_leaves(make_pool, clock):
    pool = make_pool(spec("a", ttl_s=5.0))
    front = Front(pool)
    for keep_alive_s, n_looks, is_ready in ((-1.0, 2, True), (60.0, 1, True), (None, 2, False)):
        front.release(front.use("a", keep_alive_s=keep_alive_s))
        for _ in range(n_looks):
            clock.ahead_s += 4
            front.release(front.use("a", is_look=True))
        run_until(pool, lambda wanted=is_ready: (states(pool) == {"a": "ready"}) is wanted)


def test_who_only_looks_loads_nothing_but_waits_for_what_is_being_loaded(make_pool):
    pool = make_pool(spec("a"))
    front = Front(pool)
    look = front.acquire("a", is_look=True)
    pool.check()
    assert front.replies[look].error.code == "model_not_loaded"
    assert states(pool) == {"a": "unloaded"}
    use, look = front.acquire("a"), front.acquire("a", is_look=True)
    run_until(pool, lambda: {use, look} <= front.replies.keys())
    assert front.replies[look].error is None
    front.release(look)
    front.unload("a")
    look = front.acquire("a", is_look=True)
    front.release(use)
    run_until(pool, lambda: look in front.replies)
    assert front.replies[look].error.code == "model_not_loaded"
    assert states(pool) == {"a": "unloaded"}


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
