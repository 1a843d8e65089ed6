"""`EngineReplica`: what Ray Serve runs of a model: its engine, and the gate for fronts.

The engine is a process of its own, watched and restarted by a supervisor, as on one machine; Ray's
process knows Ray, the engine's process does not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.cluster.autoscale import WorkMeter
from pyserve.cluster.gate import Gate
from pyserve.cluster.views import ReplicaView
from pyserve.config import ENV_PREFIX, ServeConfig
from pyserve.engine.protocol import EngineStats
from pyserve.errors import ModelLoadError, PyserveError, UnavailableError, from_info
from pyserve.supervisor.private import PrivateSupervisor

DRAIN_S = 15.0  # answers may end so long before fronts move them to another replica
MOVE_S = 10.0  # beyond that, for moving them
MAX_CRASHES = 3
CRASH_WINDOW_S = 600.0
POLL_S = 0.1
TOKEN_BYTES = 32

log = logging.getLogger(__name__)


class CrashCount:
    """Crashes of the engine within CRASH_WINDOW_S. One thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._n_seen = 0
        self._crashed_at: deque[float] = deque()

    def see(self, n_restarts: int) -> bool:
        """Note how often the engine was restarted so far; whether that is too often."""
        now = self._clock()
        self._crashed_at.extend([now] * (n_restarts - self._n_seen))
        self._n_seen = max(n_restarts, self._n_seen)
        while self._crashed_at and self._crashed_at[0] <= now - CRASH_WINDOW_S:
            self._crashed_at.popleft()
        return len(self._crashed_at) >= MAX_CRASHES


class EngineReplica:
    """One replica of one model. Methods are called by Ray Serve, in one thread.

    settings: the variables PYSERVE_* of its supervisor, with one model.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Returns when the model is loaded. Raises PyserveError."""
        self._ids = _identity()
        environ = {name: v for name, v in os.environ.items() if not name.startswith(ENV_PREFIX)}
        os.environ.clear()  # this process is the replica's alone: settings are read from here
        os.environ.update(environ | dict(settings))
        config = ServeConfig()
        self._load_timeout_s = config.load_timeout_s
        self._crashes = CrashCount()
        self._meter = WorkMeter()
        self._token = secrets.token_bytes(TOKEN_BYTES)
        with contextlib.ExitStack() as stack:
            supervisor = PrivateSupervisor(config, os.environ)
            stack.callback(supervisor.close)
            self._backend = supervisor.backend
            self._wait_loaded()
            self._gate = Gate(self._ids.host, self._token, self._engine_at)
            stack.callback(self._gate.close)
            self._close = stack.pop_all().close
        self._is_closed = False

    def describe(self) -> bytes:
        """The replica's `ReplicaView`, as MessagePack."""
        view = ReplicaView(
            replica_id=self._ids.replica_id,
            node=self._ids.node,
            host=self._ids.host,
            port=self._gate.port,
            token=self._token,
            statuses=self._backend.models(),
        )
        return msgspec.msgpack.encode(view)

    def stats(self) -> bytes:
        """The engine's `EngineStats`, as MessagePack; those of a fresh one while there is none."""
        return msgspec.msgpack.encode(self._stats())

    def check_health(self) -> None:
        """Raises an error when Ray is to replace this replica."""
        status = self._status()
        if status.error is not None:
            raise from_info(status.error)
        if self._crashes.see(status.n_restarts):
            raise UnavailableError(
                f"the engine of {status.id} crashed {MAX_CRASHES} times in {CRASH_WINDOW_S:g} s"
            )

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaler decides by: `Work`."""
        work = self._meter.see(self._stats())
        return {name: float(value) for name, value in work._asdict().items()}

    def __del__(self) -> None:
        """Ray Serve stops the replica: fronts send no more, and move what is left elsewhere."""
        if getattr(self, "_is_closed", True):
            return
        self._is_closed = True
        gives_up_at = time.monotonic() + DRAIN_S + MOVE_S
        while self._gate.n_fronts > 0 and time.monotonic() < gives_up_at:
            time.sleep(POLL_S)
        self._close()

    def _wait_loaded(self) -> None:
        try:
            (status, *_) = self._backend.models()
        except UnavailableError:
            raise ModelLoadError(
                "the engine's supervisor did not start: the worker's log says why"
            ) from None
        self._backend.lease(status.id, wait_s=self._load_timeout_s).release()

    def _status(self) -> ModelStatus:
        return self._backend.models()[0]

    def _engine_at(self) -> Path | None:
        path = self._status().socket_path
        return None if path is None else Path(path)

    def _stats(self) -> EngineStats:
        try:
            for engine in self._backend.engines().values():
                return engine.stats()
        except PyserveError as error:
            log.debug("no counters: %s", error)
        return EngineStats()


class _Identity(msgspec.Struct, frozen=True):
    replica_id: str
    node: str
    host: str


def _identity() -> _Identity:
    """Who this replica is, as Ray says."""
    import ray  # noqa: PLC0415  # an extra
    from ray import serve  # noqa: PLC0415

    context = ray.get_runtime_context()
    return _Identity(
        replica_id=serve.get_replica_context().replica_id.unique_id,
        node=context.get_node_id(),
        host=ray.util.get_node_ip_address(),
    )
