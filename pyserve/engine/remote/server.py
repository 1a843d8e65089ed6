"""One engine core behind a Unix socket, for many fronts at once.

| thread   | does                                                                    |
|----------|-------------------------------------------------------------------------|
| `run`    | accepts, reads, submits, cancels, writes what a socket did not take yet |
| pump     | pulls the core's events; one Events frame per front and poll            |
| calls    | tokenize, detokenize, render, info, stats: they may take seconds        |
| slow     | templates of clients, one at a time                                     |

A front that does not read is dropped when its outbox is over the cap; it blocks nobody.
The requests of a front that is gone are cancelled.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyserve.engine.calls import Call
from pyserve.engine.protocol import EngineCore
from pyserve.engine.remote.frame_server import FrameServer, Front
from pyserve.engine.remote.ids import RouteTable
from pyserve.engine.remote.wire import (
    Ask,
    Cancel,
    Events,
    FrontMessage,
    Reply,
    Submit,
    front_decoder,
)
from pyserve.errors import ErrorInfo, InternalError, PyserveError
from pyserve.process.sockets import MAX_QUEUED_BYTES, RECV_BYTES

N_CALL_THREADS = 4
POLL_TIMEOUT_S = 1.0

log = logging.getLogger(__name__)


class EngineServer:
    """Serves `core` on `listener` until `stop`. Owns both from then on.

    on_tick: called by the pump at least once a second while the core's events are pulled.
    """

    def __init__(
        self,
        core: EngineCore,
        listener: socket.socket,
        *,
        on_tick: Callable[[], None] = lambda: None,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._core = core
        self._on_tick = on_tick
        self._routes: RouteTable[Front] = RouteTable()
        self._selector = selectors.DefaultSelector()
        self._server = FrameServer(
            listener, self._selector, self, front_decoder, max_queued_bytes=max_queued_bytes
        )
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._calls = ThreadPoolExecutor(N_CALL_THREADS, thread_name_prefix="engine-call")
        self._slow_calls = ThreadPoolExecutor(1, thread_name_prefix="engine-slow-call")
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Serve until `stop`. Raises what made the core's `poll` fail."""
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, self._on_wake)
        pump = threading.Thread(target=self._pump, name="engine-events", daemon=True)
        pump.start()
        try:
            while not self._stopping.is_set():
                for key, mask in self._selector.select():
                    key.data(mask)
        finally:
            self._close()
            pump.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `run` soon. Any thread, or a signal handler."""
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: a wake-up is under way; closed: nobody waits
            self._wake_sender.send(b"\0")

    def _close(self) -> None:
        self._stopping.set()
        self._server.close()
        self._core.close()
        for pool in (self._calls, self._slow_calls):
            pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        for sock in (self._wake_receiver, self._wake_sender):
            sock.close()

    def _on_wake(self, _mask: int) -> None:
        self._wake_receiver.recv(RECV_BYTES)
        self._server.tend()

    def on_front(self, front: Front) -> None:
        """As in `FrontHandler`."""
        self._routes.add_front(front)

    def on_gone(self, front: Front) -> None:
        """As in `FrontHandler`."""
        for core_id in self._routes.drop_front(front):
            self._core.cancel(core_id)

    def on_message(self, front: Front, message: FrontMessage) -> None:
        """As in `FrontHandler`."""
        match message:
            case Submit():
                self._send(
                    front, Reply(call_id=message.request_id, error=self._submit(front, message))
                )
            case Cancel(request_id=request_id):
                core_id = self._routes.find(front, request_id)
                if core_id is not None:
                    self._core.cancel(core_id)
            case Ask(call=call):
                pool = self._slow_calls if call.is_slow else self._calls
                pool.submit(self._answer, front, message)

    def _submit(self, front: Front, message: Submit) -> ErrorInfo | None:
        try:
            core_id = self._routes.open(front, message.request_id)
        except PyserveError as error:
            return error.to_info()
        try:
            self._core.submit(core_id, message.request)
        except Exception as error:
            self._routes.close(core_id)
            return describe(error)
        return None

    def _answer(self, front: Front, question: Ask) -> None:
        try:
            call: Call[Any] = question.call
            reply = Reply(call_id=question.call_id, value=self._core.ask(call))
        except Exception as error:
            reply = Reply(call_id=question.call_id, error=describe(error))
        self._send(front, reply)

    def _send(self, front: Front, message: Reply | Events) -> None:
        front.send(message)
        if front.is_broken or front.outbox.is_waiting:
            self._wake()

    def _pump(self) -> None:
        try:
            while not self._stopping.is_set():
                events = self._core.poll(POLL_TIMEOUT_S)
                for front, its_events in self._routes.split(events).items():
                    self._send(front, Events(events=its_events))
                self._on_tick()
        except Exception as error:
            if not self._stopping.is_set():
                self._failure = error
                self.stop()


def describe(error: Exception) -> ErrorInfo:
    """What the client learns; the text of an unexpected error stays in the log."""
    if isinstance(error, PyserveError):
        return error.to_info()
    log.error("unexpected error of the engine", exc_info=error)
    return InternalError("the engine failed at this request").to_info()
