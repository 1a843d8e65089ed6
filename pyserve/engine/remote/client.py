"""An engine in another process, reached through its Unix socket."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from pyserve.engine.calls import AnyCall, Askable, Call, GetInfo, GetStats
from pyserve.engine.model_info import EngineStats, ModelInfo
from pyserve.engine.protocol import GenerateRequest, TokenStream
from pyserve.engine.remote.wire import (
    PROTOCOL_VERSION,
    Ask,
    Cancel,
    EngineMessage,
    Events,
    Hello,
    Reply,
    Submit,
    WireError,
    encode,
    engine_decoder,
)
from pyserve.engine.streams.hub import StreamHub, copy_error
from pyserve.engine.streams.revival import Reviver, remaining
from pyserve.engine.streams.stream import RequestStream
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    InvalidRequestError,
    PyserveError,
    UnavailableError,
    from_info,
)
from pyserve.process.sockets import RECV_BYTES, connect

T = TypeVar("T")

SUBMIT_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 60.0
STATS_TIMEOUT_S = 2.0  # who asks for counters has other engines to ask
SEND_TIMEOUT_S = 10
_TIMEVAL = struct.Struct("@ll")


class RemoteEngine(Askable):
    """Implements `Engine` over a socket. Any thread may call any method.

    at: the path of an engine's Unix socket, or a connection, which is closed with the engine.

    When the engine process ends, every open stream and pending call fails at once with
    EngineRestartedError, and later calls raise UnavailableError; a new engine needs a new object.
    Raises UnavailableError if it cannot connect.

    reviver: gets the open streams instead when the process has ended.
    kernels: those that the engine computes with, "" = not known.
    """

    def __init__(
        self,
        at: str | Path | socket.socket,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        reviver: Reviver | None = None,
        kernels: str = "",
    ) -> None:
        self._kernels = kernels
        self._call_timeout_s = call_timeout_s
        self._reviver = reviver
        self._hub = StreamHub()
        self._call_ids = itertools.count(-1, -1)  # request ids are positive
        self._lock = threading.Lock()  # calls, end
        self._calls: dict[int, Future[Reply]] = {}
        self._end: PyserveError | None = None
        self._is_left = False
        self._send_lock = threading.Lock()
        self._info: ModelInfo | None = None
        try:
            self._socket = at if isinstance(at, socket.socket) else connect(Path(at))
        except OSError as error:
            raise UnavailableError(f"the engine cannot be reached: {error}") from error
        timeout = _TIMEVAL.pack(SEND_TIMEOUT_S, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._reader = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        self._reader.start()
        self._send(Hello())

    @property
    def is_alive(self) -> bool:
        """False once the connection has ended."""
        return self._end is None

    @property
    def n_open(self) -> int:
        """The number of requests that it has from here."""
        return len(self._hub)

    def submit(self, request: GenerateRequest) -> TokenStream:
        if self._reviver is None:
            stream = self._hub.open(request, self._cancel)
        else:
            self._reviver.check(request)
            try:
                stream = self._hub.open(request, self._cancel)
            except EngineRestartedError:
                return self._reviver.take_new(request)
        self._submit(stream, request)
        return stream

    def adopt(self, stream: RequestStream) -> bool:
        """Submit what is left of a request of an engine that died. Raises as `submit` does.

        False: this one has ended, too. If it ends now the reviver gets the stream again.
        """
        try:
            self._hub.adopt(stream, self._cancel)
        except EngineRestartedError:
            return False
        self._submit(stream, remaining(stream))
        if stream.is_cancelled:
            self._cancel(stream.request_id)
        return True

    def _submit(self, stream: RequestStream, request: GenerateRequest) -> None:
        stream.compute_with(self._kernels)
        request_id = stream.request_id
        try:
            self._call(request_id, Submit(request_id=request_id, request=request), SUBMIT_TIMEOUT_S)
        except EngineRestartedError:
            if self._reviver is None:
                raise  # else it is one of the orphans
        except BaseException:
            self._hub.discard(request_id)
            self._cancel(request_id)
            raise

    def ask(self, call: Call[T]) -> T:
        """As in `Engine`. A call whose engine ends is asked of the next one, once."""
        was_there = self.is_alive and not self._is_left
        try:
            return self.ask_once(call)
        except EngineRestartedError:
            if self._reviver is None:
                raise
            return self._reviver.ask(call, is_blamed=was_there)

    def ask_once(self, call: Call[T]) -> T:
        """As `ask`; raises EngineRestartedError when the engine has ended, or ends."""
        return self._ask(call, self._call_timeout_s)

    def info(self) -> ModelInfo:
        if self._info is None:
            self._info = self.ask(GetInfo())
        return self._info

    def stats(self) -> EngineStats:
        return self._ask(GetStats(), STATS_TIMEOUT_S)

    def close(self) -> None:
        self.abort(CancelledError("the engine was closed"))

    def leave(self) -> None:
        """Disconnect an engine that is to end; the reviver gets its requests, as after a crash."""
        self._is_left = True
        self._disconnect()

    def abort(self, error: PyserveError) -> None:
        """End all requests with `error` and disconnect, which cancels them. Idempotent."""
        self._finish(error, later=UnavailableError("the engine is closed"))
        self._disconnect()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def _ask(self, call: Call[T], timeout_s: float) -> T:
        call_id = next(self._call_ids)
        question = Ask(call_id=call_id, call=cast(AnyCall, call))
        reply = self._call(call_id, question, timeout_s)
        return cast(T, msgspec.convert(reply.value, call.answer_type))

    def _call(self, call_id: int, message: Submit | Ask, timeout_s: float) -> Reply:
        answer: Future[Reply] = Future()
        with self._lock:
            if self._end is not None:
                raise copy_error(self._end)
            self._calls[call_id] = answer
        try:
            self._send(message)
            reply = answer.result(timeout_s)
        except TimeoutError:
            raise UnavailableError(f"the engine did not answer within {timeout_s:g} s") from None
        finally:
            with self._lock:
                self._calls.pop(call_id, None)
        if reply.error is not None:
            raise from_info(reply.error)
        return reply

    def _cancel(self, request_id: int) -> None:
        if self.is_alive:
            self._send(Cancel(request_id=request_id))

    def _send(self, message: msgspec.Struct) -> None:
        """Write a frame. A connection that fails or stalls is ended; the reader then tells all."""
        try:
            frame = encode(message)
        except (WireError, UnicodeEncodeError, OverflowError, TypeError) as error:
            raise InvalidRequestError(
                f"the request cannot be sent to the engine: {error}"
            ) from None
        try:
            with self._send_lock:
                self._socket.sendall(frame)
        except OSError:
            self._disconnect()

    def _disconnect(self) -> None:
        """Make the reader see the end of the connection; it closes the socket."""
        with contextlib.suppress(OSError):  # it is disconnected already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        decoder = engine_decoder()
        try:
            while data := self._socket.recv(RECV_BYTES):
                for message in decoder.feed(data):
                    self._on_message(message)
        except (OSError, WireError):
            pass
        finally:
            died = EngineRestartedError("the engine process ended", retry_after_s=1)
            self._finish(
                died,
                later=EngineRestartedError("the engine process has ended", retry_after_s=1),
                reviver=self._reviver,
            )
            with self._send_lock:
                self._socket.close()

    def _on_message(self, message: EngineMessage) -> None:
        match message:
            case Events(events=events):
                self._hub.dispatch(events)
            case Reply(call_id=call_id):
                with self._lock:
                    answer = self._calls.pop(call_id, None)
                if answer is not None:
                    answer.set_result(message)
            case Hello(version=version) if version != PROTOCOL_VERSION:
                raise WireError(f"the engine speaks version {version}")

    def _finish(
        self,
        error: PyserveError,
        *,
        later: PyserveError,
        reviver: Reviver | None = None,
    ) -> None:
        with self._lock:
            self._end = self._end or later
            answers = list(self._calls.values())
            self._calls.clear()
        if reviver is None:
            self._hub.fail_all(error, later=later)
        else:
            reviver.take(self._hub.close(later), error, is_blamed=not self._is_left)
        for answer in answers:
            answer.set_exception(copy_error(error))
