"""`Member`: one replica as a front uses it: the connection to its engine, and its load."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from pyserve.backend.protocol import ModelStatus
from pyserve.cluster.gate import enter
from pyserve.cluster.views import ReplicaView
from pyserve.engine.model_info import EngineStats
from pyserve.engine.prefixes.sketch import Digest
from pyserve.engine.protocol import ModelInfo
from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.streams.revival import Reviver
from pyserve.errors import EngineRestartedError, PyserveError, UnavailableError

POLL_S = 1.0
RECONNECT_S = 0.1
MAX_RECONNECT_S = 2.0

log = logging.getLogger(__name__)


class News(NamedTuple):
    """What an engine tells about once a second.

    n_engines: that this is of, counted by connections. version: of `held`.
    """

    stats: EngineStats = EngineStats()
    n_engines: int = 0
    version: int = 0
    held: Digest = Digest()


class Member:
    """One replica, connected again and again until `close`. Any thread may call any method.

    view: what the replica told last. is_listed: Ray has it; one that it has not any more is to end.
    on_change: called in the member's thread when the engine is there, or gone.
    before_use: called with a fresh engine before it gets requests; its PyserveErrors are ignored.
    """

    def __init__(
        self,
        view: ReplicaView,
        reviver: Reviver,
        *,
        on_change: Callable[[], None],
        before_use: Callable[[RemoteEngine], None],
    ) -> None:
        self.view = view
        self.is_listed = True
        self.unlisted_at = 0.0
        self._reviver = reviver
        self._on_change = on_change
        self._before_use = before_use
        self._engine: RemoteEngine | None = None
        self._news = News()
        self._n_engines = 0
        self._n_since = 0  # requests since the stats
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="member", daemon=True)
        self._thread.start()

    @property
    def replica_id(self) -> str:
        return self.view.replica_id

    @property
    def engine(self) -> RemoteEngine:
        """Raises EngineRestartedError while there is none."""
        engine = self._engine
        if engine is None or not engine.is_alive:
            raise EngineRestartedError(f"no connection to {self.replica_id}", retry_after_s=1)
        return engine

    @property
    def is_ready(self) -> bool:
        engine = self._engine
        return engine is not None and engine.is_alive

    @property
    def is_idle(self) -> bool:
        """Nothing of this front runs or waits there."""
        engine = self._engine
        return engine is None or not engine.is_alive or engine.n_open == 0

    @property
    def info(self) -> ModelInfo | None:
        """Of the engine, as the replica told."""
        return self.view.statuses[0].info

    @property
    def status(self) -> ModelStatus:
        return self.view.statuses[0]

    @property
    def stats(self) -> EngineStats:
        """The engine's counters, at most a second old."""
        return self._news.stats

    @property
    def news(self) -> News:
        """What the engine told last, a new object each time."""
        return self._news

    @property
    def n_requests(self) -> int:
        """About as many run or wait there, of all fronts."""
        return self.stats.n_running + self.stats.n_waiting + self._n_since

    def note_request(self) -> None:
        """A request was sent there."""
        self._n_since += 1

    def leave(self) -> None:
        """Have its requests continued elsewhere, and close it."""
        self._closing.set()
        if self._engine is not None:
            self._engine.leave()

    def close(self, error: PyserveError | None = None) -> None:
        """error: for its requests; None: there are none that matter."""
        self._closing.set()
        if self._engine is not None:
            self._engine.abort(error or UnavailableError("the replica has gone"))

    def _run(self) -> None:
        delay_s = 0.0
        while not self._closing.wait(delay_s):
            engine = self._connect()
            if engine is None:
                delay_s = min(max(2 * delay_s, RECONNECT_S), MAX_RECONNECT_S)
                continue
            delay_s = RECONNECT_S
            self._use(engine)
            self._on_change()

    def _connect(self) -> RemoteEngine | None:
        view = self.view
        kernels = "" if self.info is None else self.info.kernels
        try:
            connection = enter(view.host, view.port, view.token)
            return RemoteEngine(connection, reviver=self._reviver, kernels=kernels)
        except (OSError, UnavailableError) as error:
            log.debug("%s cannot be reached: %s", self.replica_id, error)
            return None

    def _use(self, engine: RemoteEngine) -> None:
        """Until its connection ends."""
        self._n_engines += 1
        try:
            self._before_use(engine)
            self._poll(engine)
        except PyserveError as error:
            log.debug("%s: %s", self.replica_id, error)
        if engine.is_alive and not self._closing.is_set():
            self._engine = engine
            self._on_change()
        while engine.is_alive and not self._closing.wait(POLL_S):
            try:
                self._poll(engine)
            except PyserveError as error:
                log.debug("%s: %s", self.replica_id, error)

    def _poll(self, engine: RemoteEngine) -> None:
        known = self._news
        stats = engine.stats()
        digest = engine.prefix_digest(known.version)
        held = known.held if digest.data is None else _read(digest.data)
        self._n_since = 0
        self._news = News(stats, self._n_engines, digest.version, held)


def _read(data: bytes) -> Digest:
    try:
        return Digest(data)
    except ValueError as error:
        log.warning("a replica's prefixes are ignored: %s", error)
        return Digest()
