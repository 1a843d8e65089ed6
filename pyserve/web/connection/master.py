"""gunicorn's master, in which a reload leaves old workers the time that their answers take.

NOTE: leans on internals of gunicorn 27 (`reload`, `setup`, `manage_workers`, `stop`,
`worker_age`, `num_workers`); the dependency is pinned to that major version.
"""

from __future__ import annotations

import signal
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

RELOAD_WAIT_S = 1  # for old workers without requests: reloads in a row do not pile up workers


class Master(Arbiter):  # type: ignore[misc]
    """Replaces the workers of before a reload at once, and ends them when they have finished.

    gunicorn's own counts them as workers until they are gone, and would start none for a new one
    that dies; and it hears no signals for as long as it waits for them.
    """

    _last_retired = 0  # workers up to this age are those of before the last reload
    _is_reloading = False

    def reload(self) -> None:
        self._last_retired = self.worker_age
        stop_s = self.cfg.graceful_timeout
        self._is_reloading = True
        try:
            super().reload()
        finally:
            self._is_reloading = False
            self.cfg.set("graceful_timeout", stop_s)

    def setup(self, app: Any) -> None:
        super().setup(app)
        if self._is_reloading:
            self.cfg.set("graceful_timeout", RELOAD_WAIT_S)  # so long it waits

    def manage_workers(self) -> None:
        """Called once in every turn, and by a reload. A worker may be told more than once."""
        by_age = sorted(self.WORKERS.items(), key=lambda item: item[1].age)
        retired = [pid for pid, worker in by_age if worker.age <= self._last_retired]
        current = [pid for pid, worker in by_age if worker.age > self._last_retired]
        for _ in range(self.num_workers - len(current)):
            self.spawn_worker()
        for pid in retired + current[: max(len(current) - self.num_workers, 0)]:
            self.kill_worker(pid, signal.SIGTERM)

    def stop(self, graceful: bool = True) -> None:
        for worker in self.WORKERS.values():
            worker.tmp.announce_stop()
        super().stop(graceful)
