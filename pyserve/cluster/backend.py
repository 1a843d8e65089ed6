"""The models of a cluster as a front's `Backend`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from pyserve.backend.link import SupervisorLink
from pyserve.backend.protocol import EngineLease, ModelStatus, ReplicaStatus
from pyserve.cluster.engine import ClusterEngine
from pyserve.cluster.follower_link import FollowerLink
from pyserve.cluster.views import Directory, ModelView, News, Trouble
from pyserve.engine.streams.revival import Blocklist
from pyserve.errors import (
    CancelledError,
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    ModelNotLoadedError,
    NotSupportedError,
    PyserveError,
    UnavailableError,
)

SLICE_S = 1.0
FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
RUNNING = "RUNNING"


class Follower(Protocol):
    """What tells a front of its cluster. Any thread may call any method."""

    def start(self) -> None: ...

    def want(self, model_id: str) -> None:
        """A request waits for a model without replicas."""
        ...

    def close(self) -> None: ...


class ClusterBackend:
    """Implements `Backend` over the Ray cluster at `address`. Any thread may call any method.

    Models and replicas are those that a follower tells of. While none tells, all stay that are
    known, and their engines are asked as before.

    control_path: of the supervisor that watches this front, None: nobody does.
    successor_wait_s, resumes_streams: as of `SupervisorBackend`. follow: makes what tells.
    """

    def __init__(
        self,
        address: str,
        *,
        control_path: Path | None = None,
        successor_wait_s: float,
        resumes_streams: bool = True,
        follow: Callable[[str, Callable[[News], None]], Follower] = FollowerLink,
    ) -> None:
        self._address = address
        self._successor_wait_s = successor_wait_s
        self._resumes_streams = resumes_streams
        self._blocklist = Blocklist()
        self._changed = threading.Condition()
        self._views: dict[str, ModelView] | None = None
        self._trouble = ""
        self._engines: dict[str, ClusterEngine] = {}
        self._statuses: dict[str, ModelStatus] = {}  # the last ones of models, with their info
        self._follower = follow(address, self._on_news)
        self._follower.start()
        self._link: SupervisorLink | None = None
        if control_path is not None:
            self._link = SupervisorLink(
                control_path,
                before_connect=lambda: None,
                on_models=lambda _models: None,
                on_lost=lambda: None,
            )

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until the models are known; tells the supervisor that this front is up."""
        with self._changed:
            is_known = self._changed.wait_for(
                lambda: self._views is not None or self._trouble != "", timeout_s
            )
        if self._link is not None:
            self._link.start()
        return is_known

    def models(self) -> list[ModelStatus]:
        """Raises UnavailableError before the cluster has been reached for the first time."""
        with self._changed:
            if self._views is None:
                message = self._trouble or f"the cluster {self._address!r} is not known yet"
                raise UnavailableError(message, retry_after_s=1)
            views = list(self._views.values())
        return [status for view in views for status in self._statuses_of(view)]

    def lease(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        keep_alive_s: float | None = None,
        is_look: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> EngineLease:
        """As in `Backend`; Ray decides what is kept, by what is used."""
        del keep_alive_s
        deadline = time.monotonic() + wait_s
        while True:
            engine, status = self._find(model_id)
            left_s = deadline - time.monotonic()
            if engine.wait_ready(0.0):
                return EngineLease(engine, lambda: None)
            if status.error is not None:
                raise ModelLoadError(status.error.message)
            if status.state == "unloaded":
                if is_look:
                    raise ModelNotLoadedError.of(model_id)
                self._follower.want(model_id)
            on_wait()
            if left_s <= 0:
                raise ModelLoadingError(f"no replica of {model_id} is ready", retry_after_s=2)
            engine.wait_ready(min(left_s, SLICE_S))

    def load(self, model_id: str) -> None:
        self._find(model_id)
        self._follower.want(model_id)

    def unload(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        is_forced: bool = False,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Raises NotSupportedError: a model is that of all fronts."""
        del wait_s, is_forced, on_wait
        self._find(model_id)
        raise NotSupportedError(
            f"{model_id} is a model of a cluster: `pyserve cluster scale {model_id} 0` unloads it"
        )

    def reload(self) -> None:
        """Raises NotSupportedError: a front has no models of its own to read again."""
        raise NotSupportedError("models of a cluster are named by `pyserve cluster deploy`")

    def engines(self) -> dict[str, ClusterEngine]:
        with self._changed:
            engines = dict(self._engines)
        return {name: engine for name, engine in engines.items() if engine.is_ready}

    def replicas(self) -> list[ReplicaStatus]:
        with self._changed:
            engines = list(self._engines.values())
        return [replica for engine in engines for replica in engine.replicas()]

    @property
    def n_revived(self) -> int:
        with self._changed:
            return sum(engine.n_revived for engine in self._engines.values())

    def abort(self, error: PyserveError) -> None:
        """End all running requests of this front with `error`."""
        with self._changed:
            engines = list(self._engines.values())
        for engine in engines:
            engine.abort(error)

    def close(self) -> None:
        self._follower.close()
        if self._link is not None:
            with contextlib.suppress(RuntimeError):  # it was never started
                self._link.close()
        self.abort(CancelledError("the front was closed"))

    def _on_news(self, news: News) -> None:
        match news:
            case Trouble(message=message):
                with self._changed:
                    self._trouble = message
                    self._changed.notify_all()
            case Directory(models=models):
                self._follow(models)

    def _follow(self, models: list[ModelView]) -> None:
        views = {view.model_id: view for view in models}
        with self._changed:
            gone = [name for name in self._engines if name not in views]
            parted = [self._engines.pop(name) for name in gone]
            for view in models:
                self._engine_of(view.model_id).follow(view.replicas)
            self._views, self._trouble = views, ""
            self._changed.notify_all()
        for engine in parted:
            engine.close()

    def _engine_of(self, model_id: str) -> ClusterEngine:
        """REQUIRES: the lock is held."""
        if model_id not in self._engines:
            self._engines[model_id] = ClusterEngine(
                model_id,
                self._blocklist,
                successor_wait_s=self._successor_wait_s,
                goes_on=self._resumes_streams,
            )
        return self._engines[model_id]

    def _find(self, model_id: str) -> tuple[ClusterEngine, ModelStatus]:
        for status in self.models():
            if status.id == model_id:
                with self._changed:
                    engine = self._engines.get(model_id)
                if engine is not None:
                    return engine, status
        raise ModelNotFoundError(f"no model {model_id!r}", param="model")

    def _statuses_of(self, view: ModelView) -> list[ModelStatus]:
        """The model and those with its adapters, as far as a replica has ever told of them."""
        with self._changed:
            engine = self._engines.get(view.model_id)
        members = [] if engine is None else engine.members
        ready = [member for member in members if member.is_ready]
        for member in ready[:1] or members[:1]:
            for status in member.view.statuses:
                self._statuses[status.id] = status
        state, error = _state(view, is_ready=bool(ready))
        base = self._statuses.get(view.model_id)
        if base is None:
            base = ModelStatus(id=view.model_id, created=0, state="loading")
        adapted = [each for each in self._statuses.values() if each.parent == view.model_id]
        return [
            msgspec.structs.replace(
                status,
                state=state,
                error=error,
                info=status.info if state == "ready" else None,
                n_restarts=sum(member.status.n_restarts for member in members),
                socket_path=None,
                expires_at=None,
            )
            for status in (base, *adapted)
        ]


def _state(view: ModelView, *, is_ready: bool) -> tuple[str, object]:
    """The state of a model, and the error that explains it."""
    if is_ready:
        return "ready", None
    if view.state in FAILED:
        message = view.message or "Ray could not start it"
        return "failed", ModelLoadError(message).to_info()
    if view.state == RUNNING and not view.replicas:
        return "unloaded", None
    return "loading", None
