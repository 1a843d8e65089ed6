"""How many replicas a model is to have, by the seconds of work that wait in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from pyserve.engine.model_info import EngineStats

TARGET_S = 10.0  # work that may wait in a replica
IDLE_SHARE = 0.25  # with less than this of it, in the mean, a replica is spare
UP_DELAY_S = 10.0  # so long must more be wanted,
DOWN_DELAY_S = 600.0  # and so long less
REQUEST_S = 10.0  # what a request is thought to take, until some have ended


class Work(NamedTuple):
    """Of one replica. backlog_s: seconds until it would have done what waits there now."""

    n_running: float = 0.0
    n_waiting: float = 0.0
    backlog_s: float = 0.0


class WorkMeter:
    """What an engine has to do, look by look. One thread."""

    def __init__(self) -> None:
        self._n_ended = 0

    def see(self, stats: EngineStats) -> Work:
        """What was done and has ended since the last look counts as one that runs, too."""
        n_ended = stats.n_finished + stats.n_failed + stats.n_cancelled
        n_running = max(stats.n_running, int(n_ended != self._n_ended))
        self._n_ended = n_ended
        busy_ms = stats.prompt_ms + stats.decode_ms
        request_s = REQUEST_S
        if stats.n_finished and busy_ms > 0:
            request_s = busy_ms / stats.n_finished / 1000
        # One that runs is what a replica is there for; the others are half done, on average.
        n_in_work = max(stats.n_running - 1, 0) / 2
        return Work(n_running, stats.n_waiting, (stats.n_waiting + n_in_work) * request_s)


def wanted(works: Sequence[Work]) -> int:
    """The number of replicas that `works`' ones should become, if that lasts for a while."""
    n = len(works)
    if not n:
        return 0
    mean_s = sum(work.backlog_s for work in works) / n
    if mean_s > TARGET_S:
        return ceil(n * mean_s / TARGET_S)
    if not any(work.n_running or work.n_waiting for work in works):
        return 0
    return max(n - 1, 1) if mean_s < IDLE_SHARE * TARGET_S else n


def replicas_wanted(context: Any) -> tuple[float, dict[str, Any]]:
    """Ray Serve's autoscaling policy; Ray applies the delays and the limits.

    A replica that has told nothing yet, as one that has just begun, changes nothing.
    """
    told: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
    columns = [told.get(name, {}) for name in Work._fields]
    known = [name for name in context.running_replicas if all(name in each for each in columns)]
    if not known or len(known) < len(context.running_replicas):
        return context.target_num_replicas, {}
    return wanted([Work(*(each[name] for each in columns)) for name in known]), {}
