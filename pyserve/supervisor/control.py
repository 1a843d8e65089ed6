"""The supervisor's control socket: sends fronts the models' statuses, and replies to requests."""

from __future__ import annotations

import selectors
import socket
from pathlib import Path
from typing import Protocol

from pyserve.backend.messages import FrontMessage, Models, Reply, Request, front_decoder
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.remote.wire import PROTOCOL_VERSION, Hello, WireError, encode
from pyserve.process.sockets import RECV_BYTES, Outbox, is_same_user, listen

MAX_QUEUED_BYTES = 32 << 20  # prompt templates are in it


class Subscriber:
    """One connected front."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.decoder = front_decoder()
        self.outbox = Outbox(connection, max_queued_bytes=MAX_QUEUED_BYTES)
        self.has_greeted = False


class RequestHandler(Protocol):
    """Handles the fronts' requests, and answers with `ControlServer.reply`, now or later."""

    def on_request(self, front: Subscriber, request: Request) -> None: ...

    def on_gone(self, front: Subscriber) -> None:
        """A front is gone: it waits for no replies, and its leases end."""
        ...


class ControlServer:
    """Listens at `path`. Thread: the loop that owns `selector` only; never blocks.

    Registers its sockets with `selector`, with itself as data; the loop calls `on_ready` for them.
    """

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, handler: RequestHandler
    ) -> None:
        self.path = path
        self._selector = selector
        self._handler = handler
        self._listener = listen(path)
        self._subscribers: dict[socket.socket, Subscriber] = {}
        self._frame = encode(Models(models=[]))
        selector.register(self._listener, selectors.EVENT_READ, self)

    @property
    def n_fronts(self) -> int:
        """Fronts that are connected and have said Hello."""
        return sum(subscriber.has_greeted for subscriber in self._subscribers.values())

    def publish(self, models: list[ModelStatus]) -> None:
        """Send the statuses to every front, and to those that come later."""
        self._frame = encode(Models(models=models))
        for subscriber in list(self._subscribers.values()):
            self._send(subscriber, self._frame)

    def reply(self, front: Subscriber, reply: Reply) -> None:
        """Answer a request; a front that is gone is no error."""
        if front.connection in self._subscribers:
            self._send(front, encode(reply))

    def on_ready(self, sock: socket.socket, mask: int) -> None:
        """Handle a ready socket of this server."""
        if sock is self._listener:
            self._accept()
            return
        subscriber = self._subscribers[sock]
        if mask & selectors.EVENT_READ:
            self._read(subscriber)
        elif mask & selectors.EVENT_WRITE:
            self._send(subscriber, b"")

    def close(self) -> None:
        for subscriber in list(self._subscribers.values()):
            self._drop(subscriber)
        self._selector.unregister(self._listener)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if not is_same_user(connection):
            connection.close()
            return
        connection.setblocking(False)
        subscriber = self._subscribers[connection] = Subscriber(connection)
        self._selector.register(connection, selectors.EVENT_READ, self)
        self._send(subscriber, encode(Hello()) + self._frame)

    def _read(self, subscriber: Subscriber) -> None:
        try:
            data = subscriber.connection.recv(RECV_BYTES)
            for message in subscriber.decoder.feed(data):
                self._on_message(subscriber, message)
        except BlockingIOError:
            return
        except (OSError, WireError):
            data = b""
        if not data and subscriber.connection in self._subscribers:
            self._drop(subscriber)

    def _on_message(self, subscriber: Subscriber, message: FrontMessage) -> None:
        if isinstance(message, Hello):
            if message.version != PROTOCOL_VERSION:
                raise WireError(f"version {message.version}")
            subscriber.has_greeted = True
        elif subscriber.has_greeted:
            self._handler.on_request(subscriber, message)
        else:
            raise WireError("a request before the greeting")

    def _send(self, subscriber: Subscriber, data: bytes) -> None:
        try:
            subscriber.outbox.send(data)
        except (OSError, BufferError):
            self._drop(subscriber)
            return
        mask = selectors.EVENT_READ
        if subscriber.outbox.is_waiting:
            mask |= selectors.EVENT_WRITE
        self._selector.modify(subscriber.connection, mask, self)

    def _drop(self, subscriber: Subscriber) -> None:
        del self._subscribers[subscriber.connection]
        self._selector.unregister(subscriber.connection)
        subscriber.connection.close()
        self._handler.on_gone(subscriber)
