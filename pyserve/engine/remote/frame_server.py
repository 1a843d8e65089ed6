"""`FrameServer`: accepts fronts, exchanges greetings, reads and writes their frames."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import msgspec

from pyserve.engine.remote.wire import PROTOCOL_VERSION, FrameDecoder, Hello, WireError, encode
from pyserve.process.sockets import MAX_QUEUED_BYTES, RECV_BYTES, Outbox, is_same_user

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)

log = logging.getLogger(__name__)


class Front:
    """One connection. Any thread may send; one that fails is closed by its server's `tend`."""

    def __init__(self, connection: socket.socket, max_queued_bytes: int) -> None:
        self.connection = connection
        self.outbox = Outbox(connection, max_queued_bytes=max_queued_bytes)
        self.has_greeted = False
        self.is_broken = False

    def send(self, message: msgspec.Struct) -> None:
        try:
            self.outbox.send(encode(message))
        except (OSError, BufferError, WireError) as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        if not isinstance(error, OSError):  # else it has gone
            log.warning("front dropped: %s", error)
        self.is_broken = True


class FrontHandler(Protocol[M_contra]):
    """What a server is for. Called in the thread of its loop."""

    def on_front(self, front: Front) -> None:
        """A front has connected, and was greeted."""
        ...

    def on_message(self, front: Front, message: M_contra) -> None:
        """A front's message, never a Hello."""
        ...

    def on_gone(self, front: Front) -> None: ...


class FrameServer(Generic[M]):
    """Serves `listener`, and closes it. Thread: the loop that owns `selector` only; never blocks.

    The loop calls the `data` of each ready key, with its mask. After something was sent it calls
    `tend`.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        handler: FrontHandler[M],
        new_decoder: Callable[[], FrameDecoder[M]],
        *,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self.fronts: set[Front] = set()
        self._listener = listener
        self._selector = selector
        self._handler = handler
        self._new_decoder = new_decoder
        self._max_queued_bytes = max_queued_bytes
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def tend(self) -> None:
        """Close broken fronts; write to those that have something queued."""
        for front in list(self.fronts):
            if not front.is_broken:
                self._flush(front)
            if front.is_broken:
                self._drop(front)

    def close(self) -> None:
        for front in list(self.fronts):
            self._drop(front)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self, _mask: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if not is_same_user(connection):
            connection.close()
            return
        connection.setblocking(False)
        front = Front(connection, self._max_queued_bytes)
        self.fronts.add(front)
        on_ready = partial(self._on_ready, front, self._new_decoder())
        self._selector.register(connection, selectors.EVENT_READ, on_ready)
        front.send(Hello())
        self._handler.on_front(front)
        self.tend()

    def _on_ready(self, front: Front, decoder: FrameDecoder[M], mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self._read(front, decoder)
        self.tend()

    def _read(self, front: Front, decoder: FrameDecoder[M]) -> None:
        try:
            data = front.connection.recv(RECV_BYTES)
            for message in decoder.feed(data):
                self._on_message(front, message)
        except BlockingIOError:
            return
        except (OSError, WireError) as error:
            front.fail(error)
        else:
            front.is_broken = front.is_broken or not data

    def _on_message(self, front: Front, message: M) -> None:
        if isinstance(message, Hello) == front.has_greeted:
            raise WireError("a greeting comes first, and once")
        if not isinstance(message, Hello):
            self._handler.on_message(front, message)
        elif message.version == PROTOCOL_VERSION:
            front.has_greeted = True
        else:
            raise WireError(f"it speaks version {message.version}")

    def _flush(self, front: Front) -> None:
        try:
            front.outbox.flush()
        except OSError as error:
            front.fail(error)
            return
        mask = selectors.EVENT_READ
        if front.outbox.is_waiting:
            mask |= selectors.EVENT_WRITE
        key = self._selector.get_key(front.connection)
        if key.events != mask:
            self._selector.modify(front.connection, mask, key.data)

    def _drop(self, front: Front) -> None:
        self.fronts.discard(front)
        self._selector.unregister(front.connection)
        front.connection.close()
        self._handler.on_gone(front)
