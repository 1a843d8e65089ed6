"""The way from a front to an engine on another machine: TCP, and a proof that both may.

Both ends know a token, which Ray has brought to the front; it is never sent:

  gate  -> front:  MAGIC, 32 random bytes
  front -> gate:   32 random bytes, HMAC of "front" and both
  gate  -> front:  HMAC of "gate" and both

Afterwards the gate pours bytes between the front and the engine's Unix socket, unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path

from pyserve.process.sockets import RECV_BYTES, connect

MAGIC = b"pyserve1"
N_RANDOM = 32
N_PROOF = hashlib.sha256().digest_size
GREETING_S = 5.0  # for the proofs
MAX_STRANGERS = 64  # connections that have proved nothing yet
# A machine that is gone is noticed after about ten seconds.
KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 3),
    (socket.TCP_KEEPINTVL, 2),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 10_000),
)

log = logging.getLogger(__name__)


def enter(host: str, port: int, token: bytes, timeout_s: float = GREETING_S) -> socket.socket:
    """A blocking connection through the gate at `host` and `port`. Raises OSError."""
    connection = socket.create_connection((host, port), timeout=timeout_s)
    try:
        _tune(connection)
        greeting = _receive(connection, len(MAGIC) + N_RANDOM)
        if not greeting.startswith(MAGIC):
            raise ConnectionError(f"{host}:{port} is no gate of pyserve")
        theirs, ours = greeting[len(MAGIC) :], secrets.token_bytes(N_RANDOM)
        connection.sendall(ours + _proof(token, b"front", theirs, ours))
        if not hmac.compare_digest(
            _receive(connection, N_PROOF), _proof(token, b"gate", theirs, ours)
        ):
            raise PermissionError(f"{host}:{port} does not know the token")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


class Gate:
    """Lets fronts that know `token` through to an engine. Any thread may call any method.

    engine_at: the engine's Unix socket now; None while there is no engine: who comes then is sent
    away. n_fronts: those that are connected.
    """

    def __init__(self, host: str, token: bytes, engine_at: Callable[[], Path | None]) -> None:
        """Listen at a free port of `host`. Raises OSError."""
        self._token = token
        self._engine_at = engine_at
        self._n_strangers = 0
        self.n_fronts = 0
        self._connections: set[asyncio.Task[None]] = set()
        listener = socket.create_server((host, 0))
        self.port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name="gate", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End all connections. Idempotent."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ends by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._on_connection, sock=listener)
        await self._stopping.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # their sockets are closed in the loop's next turn

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._let_through(reader, writer)
        except (OSError, EOFError, TimeoutError) as error:
            log.debug("a connection ended: %s", error)
        except asyncio.CancelledError:
            pass  # the gate is closed
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _let_through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = self._engine_at()
        if path is None or self._n_strangers >= MAX_STRANGERS:
            return
        _tune(writer.get_extra_info("socket"))
        self._n_strangers += 1
        try:
            async with asyncio.timeout(GREETING_S):
                await self._greet(reader, writer)
        finally:
            self._n_strangers -= 1
        engine_reader, engine_writer = await asyncio.open_unix_connection(sock=connect(path))
        self.n_fronts += 1
        try:
            await _either(_pour(reader, engine_writer), _pour(engine_reader, writer))
        finally:
            self.n_fronts -= 1
            engine_writer.transport.abort()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Raises PermissionError for a front without the token."""
        ours = secrets.token_bytes(N_RANDOM)
        writer.write(MAGIC + ours)
        theirs = await reader.readexactly(N_RANDOM)
        proof = await reader.readexactly(N_PROOF)
        if not hmac.compare_digest(proof, _proof(self._token, b"front", ours, theirs)):
            peer = writer.get_extra_info("peername")
            log.warning("%s does not know the token and is sent away", peer)
            raise PermissionError("wrong token")
        writer.write(_proof(self._token, b"gate", ours, theirs))
        await writer.drain()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of what is read. What one side does not take the other does not send."""
    while data := await reader.read(RECV_BYTES):
        writer.write(data)
        await writer.drain()


async def _either(*ways: Coroutine[None, None, None]) -> None:
    """Run all until the first one has ended; end the others."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _proof(token: bytes, who: bytes, of_gate: bytes, of_front: bytes) -> bytes:
    return hmac.digest(token, who + of_gate + of_front, "sha256")


def _receive(connection: socket.socket, n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes:
        more = connection.recv(n_bytes - len(data))
        if not more:
            raise ConnectionError("the gate closed the connection")
        data += more
    return data


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
