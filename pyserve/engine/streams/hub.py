"""From one flow of engine events to one stream per request.

`StreamHub` sorts events by request id into bounded `RequestStream`s; whoever pulls the events feeds
it: the pump thread of `StreamEngine` here, the socket reader of `RemoteEngine`.
"""

from __future__ import annotations

import atexit
import itertools
import threading
from collections.abc import Iterable
from typing import TypeVar

from pyserve.engine.calls import Askable, Call
from pyserve.engine.protocol import (
    Accepted,
    EngineCore,
    Event,
    Failed,
    GenerateRequest,
    Progress,
    Step,
    TokenStream,
)
from pyserve.engine.streams.stream import Cancel, RequestStream
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    PyserveError,
    UnavailableError,
    from_info,
)

T = TypeVar("T")

POLL_TIMEOUT_S = 1.0


class StreamHub:
    """The streams of unfinished requests, by request id. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._streams: dict[int, RequestStream] = {}
        self._closed_with: PyserveError | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, request: GenerateRequest, cancel: Cancel) -> RequestStream:
        """A stream under a fresh id. Raises the error of `fail_all` once that was called."""
        with self._lock:
            self._check_open()
            stream = RequestStream(request, next(self._ids), cancel)
            self._streams[stream.request_id] = stream
            return stream

    def adopt(self, stream: RequestStream, cancel: Cancel) -> None:
        """Take over a stream of another hub, under a fresh id. Raises as `open` does."""
        with self._lock:
            self._check_open()
            stream.move(next(self._ids), cancel)
            self._streams[stream.request_id] = stream

    def discard(self, request_id: int) -> None:
        """Forget a request that was never queued."""
        with self._lock:
            self._streams.pop(request_id, None)

    def dispatch(self, events: Iterable[Event]) -> None:
        """Hand events to their streams, in order. Unknown ids are ignored."""
        for event in events:
            stream = self._streams.get(event.request_id)
            if stream is None:
                continue
            match event:
                case Step(delta=delta):
                    if delta.finish is not None:
                        self.discard(event.request_id)
                    stream.push(delta)
                case Accepted(n_prompt_tokens=n_prompt_tokens):
                    stream.accept(n_prompt_tokens)
                case Progress():
                    stream.tell(event)
                case Failed(error=error):
                    self.discard(event.request_id)
                    stream.fail(from_info(error))

    def fail_all(self, error: PyserveError, *, later: PyserveError | None = None) -> None:
        """End every stream with `error` and refuse new ones with `later` (default: `error`)."""
        for stream in self.close(later or error):
            stream.fail(copy_error(error))

    def close(self, later: PyserveError) -> list[RequestStream]:
        """Refuse new streams with `later`; returns the unfinished ones, orphans now."""
        with self._lock:
            self._closed_with = self._closed_with or later
            streams = list(self._streams.values())
            self._streams.clear()
        return streams

    def _check_open(self) -> None:
        if self._closed_with is not None:
            raise copy_error(self._closed_with)


class StreamEngine(Askable):
    """An `Engine` in this process: an `EngineCore` and the thread that pulls its events."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._hub = StreamHub()
        self._closing = threading.Event()
        self._pump = threading.Thread(target=self._run, name="engine-events", daemon=True)
        self._pump.start()
        # A thread inside the core while the interpreter ends would end the process badly.
        atexit.register(self.close)

    def submit(self, request: GenerateRequest) -> TokenStream:
        stream = self._hub.open(request, self._core.cancel)
        try:
            self._core.submit(stream.request_id, request)
        except BaseException:
            self._hub.discard(stream.request_id)
            raise
        return stream

    def ask(self, call: Call[T]) -> T:
        return self._core.ask(call)

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        atexit.unregister(self.close)
        closed = UnavailableError("the engine is closed")
        self._hub.fail_all(CancelledError("the engine was closed"), later=closed)
        self._core.close()
        if threading.current_thread() is not self._pump:
            self._pump.join()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._hub.dispatch(self._core.poll(POLL_TIMEOUT_S))
        except PyserveError as error:
            self._hub.fail_all(error)
        except Exception as error:
            self._hub.fail_all(EngineRestartedError(f"the engine failed: {error}"))


def copy_error(error: PyserveError) -> PyserveError:
    """An equal error that another thread can raise with a traceback of its own."""
    return from_info(error.to_info())
