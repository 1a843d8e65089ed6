"""A front's connection to the supervisor's control socket: requests, replies, reconnecting."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import msgspec

from pyserve.backend.messages import ControlMessage, Models, Reply, Request, control_decoder
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.remote.wire import PROTOCOL_VERSION, Hello, WireError, encode
from pyserve.errors import UnavailableError
from pyserve.process.sockets import RECV_BYTES, connect

RECONNECT_S = 0.2
MAX_RECONNECT_S = 2.0

log = logging.getLogger(__name__)


class SupervisorLink:
    """Follows the supervisor at `socket_path` until `close`. Any thread may call any method.

    before_connect: called before each attempt to connect; may start the supervisor.
    on_models: called with the statuses whenever they change. on_lost: when the supervisor is gone.
    Both are called in the link's own thread.
    """

    def __init__(
        self,
        socket_path: Path,
        *,
        before_connect: Callable[[], None],
        on_models: Callable[[list[ModelStatus]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._socket_path = socket_path
        self._before_connect = before_connect
        self._on_models = on_models
        self._on_lost = on_lost
        self._call_ids = itertools.count(1)
        self._lock = threading.Lock()  # socket, asked; also keeps frames whole
        self._socket: socket.socket | None = None
        self._asked: dict[int, Future[Reply]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor-link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, request: Callable[[int], Request]) -> tuple[int, Future[Reply]]:
        """Send what `request` makes of a fresh id; returns the id and the reply to come.

        The future raises UnavailableError when the supervisor is gone.
        """
        call_id = next(self._call_ids)
        answer: Future[Reply] = Future()
        with self._lock:
            if self._socket is None:
                answer.set_exception(_gone())
            else:
                self._asked[call_id] = answer
                self._send(request(call_id))
        return call_id, answer

    def tell(self, request: Request) -> None:
        """Send a message without a reply; without a supervisor it is dropped."""
        with self._lock:
            self._asked.pop(request.call_id, None)
            self._send(request)

    def close(self) -> None:
        self._closing.set()
        self._disconnect()
        self._thread.join()

    def _send(self, message: msgspec.Struct) -> None:
        """Write a frame; a connection that fails is ended, which the link's thread notices."""
        if self._socket is not None:
            try:
                self._socket.sendall(encode(message))
            except OSError:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _disconnect(self) -> None:
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

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
        """Process the supervisor's messages until the connection ends."""
        with self._lock:
            self._socket = connection
            self._send(Hello())
        decoder = control_decoder()
        try:
            while not self._closing.is_set() and (data := connection.recv(RECV_BYTES)):
                for message in decoder.feed(data):
                    self._on_message(message)
        except (OSError, WireError) as error:
            log.warning("the connection to the supervisor failed: %s", error)

    def _on_message(self, message: ControlMessage) -> None:
        match message:
            case Models(models=models):
                self._on_models(models)
            case Reply(call_id=call_id):
                with self._lock:
                    answer = self._asked.pop(call_id, None)
                if answer is not None:
                    answer.set_result(message)
            case Hello(version=version) if version != PROTOCOL_VERSION:
                raise WireError(f"the supervisor speaks version {version}")

    def _lose(self) -> None:
        with self._lock:
            self._socket = None
            asked, self._asked = self._asked, {}
        self._on_lost()
        for answer in asked.values():
            answer.set_exception(_gone())


def _gone() -> UnavailableError:
    return UnavailableError("the server has ended: its supervisor is gone", retry_after_s=1)
