from __future__ import annotations

from pyserve.supervisor.restart_policy import Restart, RestartPolicy

AT_ONCE = Restart(0.0, is_looping=False)


def test_a_few_crashes_restart_at_once():
    policy = RestartPolicy(n_crashes=5, window_s=60)
    assert [policy.on_crash(second, lived_s=1) for second in range(4)] == [AT_ONCE] * 4


def test_the_fifth_crash_within_the_window_is_a_loop_with_growing_delays():
    policy = RestartPolicy(n_crashes=5, window_s=60, max_delay_s=30)
    for second in range(4):
        policy.on_crash(second, lived_s=1)
    restarts = [policy.on_crash(10, lived_s=1) for _ in range(7)]
    assert all(restart.is_looping for restart in restarts)
    assert [restart.delay_s for restart in restarts] == [1, 2, 4, 8, 16, 30, 30]


def test_crashes_that_are_far_apart_are_no_loop():
    policy = RestartPolicy(n_crashes=5, window_s=60)
    assert [policy.on_crash(second * 20, lived_s=19) for second in range(20)] == [AT_ONCE] * 20


def test_delays_do_not_make_a_loop_look_like_rare_crashes():
    policy = RestartPolicy(n_crashes=2, window_s=60, max_delay_s=30)
    policy.on_crash(0, lived_s=1)
    now, delays = 0.0, []
    for _ in range(10):
        restart = policy.on_crash(now, lived_s=1)
        delays.append(restart.delay_s)
        now += restart.delay_s + 1
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]


def test_a_long_life_wipes_the_slate_clean():
    policy = RestartPolicy(n_crashes=2, window_s=60)
    policy.on_crash(0, lived_s=1)
    assert policy.on_crash(1, lived_s=1).is_looping
    assert policy.on_crash(100, lived_s=60) == AT_ONCE
    assert policy.on_crash(101, lived_s=1) == Restart(1.0, is_looping=True)
