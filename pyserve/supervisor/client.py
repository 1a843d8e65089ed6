"""The models of a supervisor, seen from a front process."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pyserve.engine.protocol import Engine
from pyserve.engine.remote import RemoteEngine
from pyserve.engine.sockets import RECV_BYTES, connect
from pyserve.engine.wire import PROTOCOL_VERSION, Hello, WireError, encode
from pyserve.errors import (
    CancelledError,
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    PyserveError,
    UnavailableError,
    from_info,
)
from pyserve.supervisor.backend import ModelStatus
from pyserve.supervisor.messages import ControlMessage, Models, control_decoder

RECONNECT_S = 0.2
MAX_RECONNECT_S = 2.0

log = logging.getLogger(__name__)


class SupervisorBackend:
    """Implements `Backend` over the control socket at `socket_path`. Any thread may call it.

    Holds what the supervisor said last, and one `RemoteEngine` per engine process. While the
    supervisor is gone every model is `stopped` and `engine` raises UnavailableError.

    before_connect: called before each attempt to connect; may start the supervisor.
    """

    def __init__(
        self, socket_path: Path, *, before_connect: Callable[[], None] = lambda: None
    ) -> None:
        self._socket_path = socket_path
        self._before_connect = before_connect
        self._changed = threading.Condition()
        self._statuses: list[ModelStatus] | None = None
        self._socket: socket.socket | None = None
        self._closing = threading.Event()
        self._engines_lock = threading.Lock()
        self._engines: dict[str, tuple[str, RemoteEngine]] = {}
        self._link = threading.Thread(target=self._run, name="supervisor-link", daemon=True)
        self._link.start()

    def wait_known(self, timeout_s: float) -> bool:
        """Wait until the supervisor has told which models there are."""
        with self._changed:
            return self._changed.wait_for(lambda: self._statuses is not None, timeout_s)

    def models(self) -> list[ModelStatus]:
        """Raises UnavailableError before the supervisor has been reached for the first time."""
        with self._changed:
            if self._statuses is None:
                raise UnavailableError("the models are not known yet", retry_after_s=1)
            return list(self._statuses)

    def engine(self, model_id: str, *, wait_s: float = 0.0) -> Engine:
        deadline = time.monotonic() + wait_s
        while True:
            status = self._wait_ready(model_id, deadline)
            engine = self._connect(status)
            if engine is not None:
                return engine
            self._wait_changed(status, deadline)

    def abort(self, error: PyserveError) -> None:
        """End all running requests of this front with `error`."""
        with self._engines_lock:
            engines = [engine for _path, engine in self._engines.values()]
            self._engines.clear()
        for engine in engines:
            engine.abort(error)

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        self._link.join()
        self.abort(CancelledError("the front was closed"))

    def _wait_ready(self, model_id: str, deadline: float) -> ModelStatus:
        """The status of a ready model. Raises ModelLoadingError when the time is over."""
        with self._changed:
            while True:
                status = self._find(model_id)
                if status.state == "ready":
                    return status
                if status.state != "loading":
                    raise _error_of(status)
                if not self._changed.wait(max(deadline - time.monotonic(), 0.0)):
                    raise _loading(model_id)

    def _wait_changed(self, status: ModelStatus, deadline: float) -> None:
        """Wait for news of a model whose engine is gone although it is said to be ready."""
        with self._changed:
            is_news = self._changed.wait_for(
                lambda: status not in (self._statuses or ()), max(deadline - time.monotonic(), 0.0)
            )
        if not is_news:
            raise _loading(status.id)

    def _find(self, model_id: str) -> ModelStatus:
        if self._statuses is None:
            raise UnavailableError("the models are not known yet", retry_after_s=1)
        for status in self._statuses:
            if status.id == model_id:
                return status
        raise ModelNotFoundError(f"no model {model_id!r}", param="model")

    def _connect(self, status: ModelStatus) -> RemoteEngine | None:
        """The engine of a ready model, or None if its process is gone."""
        assert status.socket_path is not None, "a ready model has a socket"
        with self._engines_lock:
            path, engine = self._engines.get(status.id, ("", None))
            if engine is None or path != status.socket_path or not engine.is_alive:
                try:
                    engine = RemoteEngine(status.socket_path)
                except UnavailableError:
                    return None
                self._engines[status.id] = (status.socket_path, engine)
            return engine

    def _run(self) -> None:
        delay_s = RECONNECT_S
        while not self._closing.is_set():
            try:
                self._before_connect()
                connection = connect(self._socket_path)
            except OSError as error:
                log.debug("no supervisor yet: %s", error)
                self._closing.wait(delay_s)
                delay_s = min(delay_s * 2, MAX_RECONNECT_S)
                continue
            delay_s = RECONNECT_S
            with connection:
                self._follow(connection)
            self._lose()

    def _follow(self, connection: socket.socket) -> None:
        """Take in what the supervisor says until it ends."""
        with self._changed:
            self._socket = connection
        decoder = control_decoder()
        try:
            connection.sendall(encode(Hello()))
            while not self._closing.is_set() and (data := connection.recv(RECV_BYTES)):
                for message in decoder.feed(data):
                    self._on_message(message)
        except (OSError, WireError) as error:
            log.warning("the supervisor cannot be followed: %s", error)
        finally:
            with self._changed:
                self._socket = None

    def _on_message(self, message: ControlMessage) -> None:
        match message:
            case Models(models=models):
                with self._changed:
                    self._statuses = models
                    self._changed.notify_all()
            case Hello(version=version) if version != PROTOCOL_VERSION:
                raise WireError(f"the supervisor speaks version {version}")

    def _lose(self) -> None:
        with self._changed:
            self._statuses = self._statuses and [
                msgspec.structs.replace(status, state="stopped", info=None, socket_path=None)
                for status in self._statuses
            ]
            self._changed.notify_all()


def _loading(model_id: str) -> ModelLoadingError:
    return ModelLoadingError(f"the model {model_id} is being loaded", retry_after_s=1)


def _error_of(status: ModelStatus) -> PyserveError:
    if status.error is not None:
        return from_info(status.error)
    if status.state == "stopped":
        return UnavailableError("the supervisor is gone", retry_after_s=1)
    return ModelLoadError(f"the model {status.id} cannot be loaded")
