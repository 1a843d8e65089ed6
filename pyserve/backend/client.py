"""The supervisor's models as a front's `Backend`: statuses, leases, loading and unloading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from pathlib import Path

import msgspec

from pyserve.backend.connections import EngineConnections
from pyserve.backend.link import SupervisorLink
from pyserve.backend.messages import Acquire, Load, Release, Reload, Reply, Request, Unload
from pyserve.backend.protocol import EngineLease, ModelStatus, ReplicaStatus
from pyserve.engine.remote.client import RemoteEngine
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    ModelBusyError,
    ModelLoadingError,
    ModelNotFoundError,
    PyserveError,
    UnavailableError,
    from_info,
)
from pyserve.process.once import once

ANSWER_S = 10.0  # for what the supervisor answers at once
SLICE_S = 1.0
SUCCESSOR_WAIT_S = 60.0
NOTICED_S = 5.0

OnWait = Callable[[], None]


def _no_wait() -> None:
    """Default `on_wait`: does nothing."""


class SupervisorBackend:
    """Implements `Backend` over the control socket at `socket_path`. Any thread may call it.

    Holds the last statuses from the supervisor, and one `RemoteEngine` per engine process. While
    the supervisor is gone every model is `stopped` and `lease` raises UnavailableError.

    before_connect: called before each attempt to connect; may start the supervisor.
    successor_wait_s: time for which requests of an engine that died wait for the next one.
    resumes_streams: also requests that have begun to answer are resumed.
    """

    def __init__(
        self,
        socket_path: Path,
        *,
        before_connect: Callable[[], None] = lambda: None,
        successor_wait_s: float = SUCCESSOR_WAIT_S,
        resumes_streams: bool = True,
    ) -> None:
        self._changed = threading.Condition()
        self._statuses: list[ModelStatus] | None = None
        self._successor_wait_s = successor_wait_s
        self._connections = EngineConnections(self._successor, resumes_streams=resumes_streams)
        self._link = SupervisorLink(
            socket_path,
            before_connect=before_connect,
            on_models=self._on_models,
            on_lost=self._on_lost,
        )
        self._link.start()

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until the supervisor has sent its list of models."""
        with self._changed:
            return self._changed.wait_for(lambda: self._statuses is not None, timeout_s)

    def models(self) -> list[ModelStatus]:
        """Raises UnavailableError before the supervisor has been reached for the first time."""
        with self._changed:
            if self._statuses is None:
                raise UnavailableError("the models are not known yet", retry_after_s=1)
            return list(self._statuses)

    def lease(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        keep_alive_s: float | None = None,
        is_look: bool = False,
        on_wait: OnWait = _no_wait,
        is_successor: bool = False,
    ) -> EngineLease:
        """As in `Backend`. is_successor: for requests that have leases, of an engine that died."""
        deadline = time.monotonic() + wait_s
        wish = Acquire(
            call_id=0,
            model_id=model_id,
            keep_alive_s=keep_alive_s,
            is_look=is_look,
            is_successor=is_successor,
        )
        while True:
            status = self._find(model_id)
            call_id, socket_path = self._acquire(status, deadline, wish, on_wait)
            try:
                kernels = self._kernels_at(model_id, socket_path)
                engine = self._connections.connect(model_id, socket_path, kernels)
                if engine is not None:
                    return EngineLease(engine, once(partial(self._release, call_id)))
            except BaseException:
                self._release(call_id)
                raise
            self._release(call_id)
            self._wait_changed(status, deadline)

    def load(self, model_id: str) -> None:
        self._find(model_id)
        self._ask_at_once(lambda call_id: Load(call_id=call_id, model_id=model_id))

    def unload(
        self,
        model_id: str,
        *,
        wait_s: float = 0.0,
        is_forced: bool = False,
        on_wait: OnWait = _no_wait,
    ) -> None:
        self._find(model_id)

        def request(call_id: int) -> Unload:
            return Unload(call_id=call_id, model_id=model_id, is_forced=is_forced)

        try:
            self._ask(request, time.monotonic() + wait_s, on_wait)
        except FutureTimeoutError:
            message = f"the model {model_id} is unloaded when its running requests have ended"
            raise ModelBusyError(message, retry_after_s=1) from None

    def reload(self) -> None:
        self._ask_at_once(lambda call_id: Reload(call_id=call_id))

    def engines(self) -> dict[str, RemoteEngine]:
        with self._changed:
            statuses = list(self._statuses or ())
        for status in statuses:
            if status.state == "ready" and status.socket_path and status.info is not None:
                self._connections.connect(status.id, status.socket_path, status.info.kernels)
        return self._connections.engines()

    def replicas(self) -> list[ReplicaStatus]:
        return []

    @property
    def n_revived(self) -> int:
        return self._connections.n_revived

    def abort(self, error: PyserveError) -> None:
        """End all running requests of this front with `error`."""
        self._connections.abort(error)

    def close(self) -> None:
        self._link.close()
        self.abort(CancelledError("the front was closed"))

    def _acquire(
        self, status: ModelStatus, deadline: float, wish: Acquire, on_wait: OnWait
    ) -> tuple[int, str]:
        """A lease's id, and the socket of the engine. Raises the supervisor's error."""

        def request(call_id: int) -> Acquire:
            return msgspec.structs.replace(wish, call_id=call_id)

        if status.state in ("ready", "failed"):  # then there is an answer at once
            deadline = max(deadline, time.monotonic() + SLICE_S)
        try:
            call_id, reply = self._ask(request, deadline, on_wait)
        except FutureTimeoutError:
            raise _late(self._find(status.id)) from None
        assert reply.socket_path is not None, "a granted lease has a socket"
        return call_id, reply.socket_path

    def _ask_at_once(self, request: Callable[[int], Request]) -> None:
        """Send a request with a quick reply. Raises the error in it, or UnavailableError."""
        try:
            self._ask(request, time.monotonic() + ANSWER_S, _no_wait)
        except FutureTimeoutError:
            raise UnavailableError("the supervisor is busy", retry_after_s=1) from None

    def _ask(
        self, request: Callable[[int], Request], deadline: float, on_wait: OnWait
    ) -> tuple[int, Reply]:
        """Send a request: its id and its reply. An error during the wait cancels the request.

        Raises the error in it, FutureTimeoutError, and what `on_wait` raises.
        """
        call_id, answer = self._link.ask(request)
        try:
            return call_id, _result(answer, deadline, on_wait)
        except BaseException:
            self._release(call_id)
            raise

    def _release(self, call_id: int) -> None:
        self._link.tell(Release(call_id=call_id))

    def _wait_changed(self, status: ModelStatus, deadline: float) -> None:
        """Wait for a new status of a model that is `ready` although its engine is gone."""
        with self._changed:
            is_news = self._changed.wait_for(
                lambda: status not in (self._statuses or ()), max(deadline - time.monotonic(), 0.0)
            )
        if not is_news:
            raise _late(status)

    def _find(self, model_id: str) -> ModelStatus:
        for status in self.models():
            if status.id == model_id:
                return status
        raise ModelNotFoundError(f"no model {model_id!r}", param="model")

    def _kernels_at(self, model_id: str, socket_path: str) -> str:
        """The kernels of the engine at the socket; its status arrives before its first lease."""
        status = self._find(model_id)
        if status.info is None or status.socket_path != socket_path:
            return ""
        return status.info.kernels

    def _successor(self, model_id: str) -> RemoteEngine:
        """The next engine of a model. The requests that come to it have leases of their own.

        Raises EngineRestartedError when the model was unloaded, and what `lease` raises.
        """
        self._wait_noticed(model_id)
        if self._find(model_id).state in ("unloaded", "unloading"):
            raise EngineRestartedError(f"the model {model_id} was unloaded", retry_after_s=1)
        lease = self.lease(model_id, wait_s=self._successor_wait_s, is_successor=True)
        lease.release()
        assert isinstance(lease.engine, RemoteEngine)
        return lease.engine

    def _wait_noticed(self, model_id: str) -> None:
        """Wait until the supervisor has reported the end of a model's engine."""
        path = self._connections.dead_path(model_id)
        if path is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._find(model_id).socket_path != path, NOTICED_S)

    def _on_models(self, models: list[ModelStatus]) -> None:
        with self._changed:
            self._statuses = models
            self._changed.notify_all()

    def _on_lost(self) -> None:
        with self._changed:
            self._statuses = self._statuses and [
                msgspec.structs.replace(status, state="stopped", info=None, socket_path=None)
                for status in self._statuses
            ]
            self._changed.notify_all()


def _result(answer: Future[Reply], deadline: float, on_wait: OnWait) -> Reply:
    """The reply. Raises the error in it, or FutureTimeoutError; calls `on_wait` meanwhile."""
    while True:
        left_s = max(deadline - time.monotonic(), 0.0)
        try:
            reply = answer.result(min(left_s, SLICE_S))
        except FutureTimeoutError:
            on_wait()
            if left_s <= SLICE_S:
                raise
            continue
        if reply.error is not None:
            raise from_info(reply.error)
        return reply


def _late(status: ModelStatus) -> ModelLoadingError:
    """The error for a request whose model was not loaded within its patience."""
    if status.state in ("unloaded", "unloading"):
        message = f"the model {status.id} waits for room: other models are busy"
        return ModelLoadingError(message, retry_after_s=5)
    return ModelLoadingError(f"the model {status.id} is being loaded", retry_after_s=1)
