"""How many replicas a model is to have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.cluster.autoscale import TARGET_S, Work, WorkMeter, replicas_wanted, wanted
from pyserve.engine.model_info import EngineStats

IDLE = Work()


def busy(backlog_s: float) -> Work:
    return Work(n_running=1, n_waiting=1, backlog_s=backlog_s)


@pytest.mark.parametrize(
    ("works", "n"),
    [
        ([], 0),
        ([IDLE], 0),
        ([IDLE] * 5, 0),  # Ray goes down one by one, and never below the least
        ([busy(TARGET_S)], 1),
        ([busy(TARGET_S + 1)], 2),
        ([busy(45.0)], 5),
        ([busy(45.0), IDLE, IDLE], 5),
        ([busy(20.0), IDLE, IDLE, IDLE], 4),
        ([busy(5.0), IDLE, IDLE, IDLE], 3),
        ([busy(0.0)], 1),
    ],
)
def test_replicas_follow_the_work_that_waits(works: list[Work], n: int) -> None:
    assert wanted(works) == n


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_so_many_replicas_would_have_no_more_work_than_they_should(backlogs: list[float]) -> None:
    n = wanted([busy(each) for each in backlogs])
    assert n >= 1
    assert sum(backlogs) / n <= TARGET_S * 1.34
    if n > len(backlogs):
        assert sum(backlogs) / (n - 1) > TARGET_S * 0.999
    assert n >= len(backlogs) - 1


def test_work_is_measured_in_seconds_of_the_engine() -> None:
    def work_of(**counters: Any) -> Work:
        return WorkMeter().see(EngineStats(**counters))

    assert work_of() == Work(0, 0, 0.0)
    assert work_of(n_running=1) == Work(1, 0, 0.0)
    assert work_of(n_running=3, n_waiting=2) == Work(3, 2, 30.0)
    assert work_of(n_running=3, n_waiting=2, n_finished=1) == Work(3, 2, 30.0)
    known = {"n_finished": 100, "prompt_ms": 150_000.0, "decode_ms": 50_000.0}
    assert work_of(n_running=5, n_waiting=4, **known) == Work(5, 4, 12.0)


def test_requests_that_end_between_two_looks_are_work() -> None:
    meter = WorkMeter()
    counters = [{}, {"n_finished": 3}, {"n_finished": 3}, {"n_finished": 3, "n_cancelled": 1}]
    works = [meter.see(EngineStats(**each)) for each in counters]
    assert [work.n_running for work in works] == [0, 1, 0, 1]


def context(**told: dict[str, float]) -> SimpleNamespace:
    return SimpleNamespace(
        aggregated_metrics=told or None, running_replicas=["a", "b"], target_num_replicas=2
    )


def test_ray_is_told_once_all_replicas_have_told() -> None:
    all_told = {
        "n_running": {"a": 1.0, "b": 1.0, "gone": 9.0},
        "n_waiting": {"a": 8.0, "b": 0.0, "gone": 9.0},
        "backlog_s": {"a": 80.0, "b": 0.0, "gone": 999.0},
    }
    assert replicas_wanted(context(**all_told)) == (8, {})
    assert replicas_wanted(context()) == (2, {})
    half = {name: {"a": told["a"]} for name, told in all_told.items()}
    assert replicas_wanted(context(**half)) == (2, {})
    empty = SimpleNamespace(aggregated_metrics={}, running_replicas=[], target_num_replicas=0)
    assert replicas_wanted(empty) == (0, {})
