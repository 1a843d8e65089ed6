"""A front's connections to the engine processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from pyserve.engine.remote.client import RemoteEngine
from pyserve.engine.streams.revival import Blocklist, Reviver
from pyserve.errors import PyserveError, UnavailableError


class EngineConnections:
    """One `RemoteEngine` per engine process, and the revival of their requests. Any thread.

    successor: the next engine of a model whose engine has died.
    resumes_streams: also requests that have begun to answer are resumed in it.
    """

    def __init__(
        self, successor: Callable[[str], RemoteEngine], *, resumes_streams: bool = True
    ) -> None:
        self._successor = successor
        self._resumes_streams = resumes_streams
        self._lock = threading.Lock()
        self._engines: dict[str, tuple[str, RemoteEngine]] = {}
        self._blocklist = Blocklist()
        self._revivers: dict[str, Reviver] = {}

    def connect(self, model_id: str, socket_path: str, kernels: str = "") -> RemoteEngine | None:
        """The engine at the socket, or None if its process is gone.

        kernels: those that it computes with, "" = not known.
        """
        with self._lock:
            path, engine = self._engines.get(model_id, ("", None))
            if engine is None or path != socket_path or not engine.is_alive:
                try:
                    engine = RemoteEngine(
                        socket_path, reviver=self._reviver(model_id), kernels=kernels
                    )
                except UnavailableError:
                    return None
                self._engines[model_id] = (socket_path, engine)
            return engine

    def dead_path(self, model_id: str) -> str | None:
        """The socket of the model's engine if its process is gone, else None."""
        with self._lock:
            path, engine = self._engines.get(model_id, ("", None))
        return None if engine is None or engine.is_alive else path

    def engines(self) -> dict[str, RemoteEngine]:
        """The connected engines, by model."""
        with self._lock:
            return {name: engine for name, (_, engine) in self._engines.items() if engine.is_alive}

    @property
    def n_revived(self) -> int:
        """The number of requests that were resumed in another engine."""
        with self._lock:
            return sum(reviver.n_revived for reviver in self._revivers.values())

    def abort(self, error: PyserveError) -> None:
        """End all running requests with `error`."""
        with self._lock:
            engines = [engine for _path, engine in self._engines.values()]
            self._engines.clear()
            revivers = list(self._revivers.values())
        for reviver in revivers:
            reviver.close(error)
        for engine in engines:
            engine.abort(error)

    def _reviver(self, model_id: str) -> Reviver:
        """The model's reviver, which outlives its engines. REQUIRES: the lock is held."""
        if model_id not in self._revivers:
            self._revivers[model_id] = Reviver(
                partial(self._successor, model_id), self._blocklist, goes_on=self._resumes_streams
            )
        return self._revivers[model_id]
