"""Replicas of a model without Ray: fake engines in this process, each behind a gate."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.cluster.engine import ClusterEngine
from pyserve.cluster.gate import Gate
from pyserve.cluster.views import ReplicaView
from pyserve.engine.config import Adapter, EngineConfig
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.prefixes.telling import TellingCore
from pyserve.engine.remote.server import EngineServer
from pyserve.engine.streams.revival import Blocklist
from pyserve.errors import UnavailableError
from pyserve.process.sockets import listen
from tests.support.limits import SOON_S
from tests.support.server import wait_until

HOST = "127.0.0.1"
MODEL = "m"


class Replica:
    """One engine and its gate. fingerprint: of what it computes."""

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        fingerprint: str = "same",
        n_seq_max: int = 4,
        n_queue_max: int = 4,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        config = EngineConfig(
            model_id=MODEL,
            model_path="",
            n_seq_max=n_seq_max,
            n_queue_max=n_queue_max,
            adapters=tuple(adapters),
        )
        self.core = FakeCore(config, kill=self._die)
        self._server = EngineServer(TellingCore(self.core), listen(path))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        token = secrets.token_bytes(32)
        self.gate = Gate(HOST, token, lambda: path if self._thread.is_alive() else None)
        info = msgspec.structs.replace(self.core.info(), fingerprint=fingerprint)
        status = ModelStatus(id=MODEL, created=1, state="ready", info=info)
        self.view = ReplicaView(
            replica_id=name, host=HOST, port=self.gate.port, token=token, statuses=[status]
        )

    def crash(self) -> None:
        """The engine ends without a word; the gate stays."""
        self._server.stop()
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()

    @property
    def has_crashed(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        self.gate.close()
        self.crash()

    def _die(self, _signal: int) -> None:
        """Of a call, in whose thread this is: the connection has ended before it is answered."""
        self.crash()
        raise UnavailableError("the engine was killed")


class Fleet:
    """Replicas in a directory, and two fronts' engines over those that are listed."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self._directory = directory
        self.replicas: list[Replica] = []
        self.engine = _front()
        self._others: list[ClusterEngine] = []

    def another_front(self) -> ClusterEngine:
        """That knows what replicas tell, and nothing else; over all replicas."""
        engine = _front()
        self._others.append(engine)
        _list(engine, self.replicas)
        return engine

    def add(self, **options: object) -> Replica:
        name = f"r{len(self.replicas)}"
        replica = Replica(self._directory / name, name, **options)
        self.replicas.append(replica)
        return replica

    def list(self, *replicas: Replica) -> None:
        """Ray has these now; returns when they are connected."""
        _list(self.engine, replicas)

    def close(self) -> None:
        for engine in (self.engine, *self._others):
            engine.close()
        for replica in self.replicas:
            replica.close()


def _front() -> ClusterEngine:
    return ClusterEngine(MODEL, Blocklist(), successor_wait_s=SOON_S, goes_on=True)


def _list(engine: ClusterEngine, replicas: Sequence[Replica]) -> None:
    engine.follow([replica.view for replica in replicas])
    wait_until(
        lambda: sum(m.is_ready and m.is_listed for m in engine.members) == len(replicas),
        SOON_S,
        "the replicas are connected",
    )
