"""From one flow of engine events to one stream per request.

`StreamHub` sorts events by request id into bounded `RequestStream`s; whoever pulls the events feeds
it: the pump thread of `StreamEngine` here, the socket reader of `RemoteEngine`.
"""

from __future__ import annotations

import atexit
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyserve.engine.protocol import (
    Accepted,
    Delta,
    EngineCore,
    EngineStats,
    Event,
    Failed,
    GenerateRequest,
    ModelInfo,
    Segment,
    Step,
    TemplateOptions,
    TokenStream,
)
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    PyserveError,
    UnavailableError,
    from_info,
)

MAX_QUEUED_DELTAS = 4096
MAX_QUEUED_CHARS = 1 << 20
POLL_TIMEOUT_S = 1.0

Listener = Callable[[], object]


class RequestStream:
    """One running request, fed by a `StreamHub`. Implements `TokenStream`.

    At most MAX_QUEUED_DELTAS deltas or MAX_QUEUED_CHARS characters wait for the reader. Beyond that
    the request is cancelled, what waits is dropped, and the reader gets an UnavailableError.
    Thread: one reader; `push` and `fail` from the hub's thread; `cancel` from any thread.
    """

    def __init__(self, request_id: int, cancel: Callable[[int], None]) -> None:
        self.request_id = request_id
        self._cancel = cancel
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._deltas: deque[Delta] = deque()
        self._n_chars = 0
        self._n_prompt_tokens: int | None = None
        self._error: PyserveError | None = None
        self._is_over = False
        self._listener: Listener | None = None

    @property
    def n_prompt_tokens(self) -> int | None:
        return self._n_prompt_tokens

    def wait_accepted(self, timeout_s: float | None = None) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: self._n_prompt_tokens is not None or self._is_over, timeout_s
            )
            if self._n_prompt_tokens is not None:
                return True
            if self._error is not None:
                raise self._error
            return False

    def get(self, timeout_s: float | None = None) -> Delta | None:
        with self._changed:
            self._changed.wait_for(lambda: self._deltas or self._is_over, timeout_s)
            if self._deltas:
                delta = self._deltas.popleft()
                self._n_chars -= len(delta.text)
                return delta
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise RuntimeError("the stream was read to its end")
            return None

    def take(self) -> Delta | None:
        """The next delta if there is one. Raises the error that follows the last."""
        with self._lock:
            if self._deltas:
                delta = self._deltas.popleft()
                self._n_chars -= len(delta.text)
                return delta
        if self._error is not None:
            raise self._error
        return None

    def __iter__(self) -> Iterator[Delta]:
        while (delta := self.get()) is not None:
            yield delta
            if delta.finish is not None:
                return

    def cancel(self) -> None:
        if not self._is_over:
            self._cancel(self.request_id)

    def accept(self, n_prompt_tokens: int) -> None:
        """The request was admitted."""
        with self._changed:
            self._n_prompt_tokens = n_prompt_tokens
            self._changed.notify()

    def push(self, delta: Delta) -> None:
        """Add a delta for the reader; ignored after the end."""
        with self._lock:
            if self._is_over:
                return
            n_chars = self._n_chars + len(delta.text)
            if len(self._deltas) < MAX_QUEUED_DELTAS and n_chars <= MAX_QUEUED_CHARS:
                self._deltas.append(delta)
                self._n_chars = n_chars
                self._is_over = delta.finish is not None
                self._wake()
                return
            self._deltas.clear()
            self._end(UnavailableError("the reader is too slow: its output queue is full"))
        self._cancel(self.request_id)

    def fail(self, error: PyserveError) -> None:
        """End the stream with `error`, after the deltas that wait; ignored after the end."""
        with self._changed:
            if not self._is_over:
                self._end(error)

    def listen(self, listener: Listener | None) -> None:
        """Have `listener` called for each delta to take and for the error, also those there are."""
        with self._lock:
            self._listener = listener
            if listener is not None:
                for _ in range(len(self._deltas) + (self._error is not None)):
                    listener()

    def _end(self, error: PyserveError) -> None:
        self._error = error
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._listener is not None:
            self._listener()
        else:
            self._changed.notify()


class StreamHub:
    """The streams of unfinished requests, by request id. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._streams: dict[int, RequestStream] = {}
        self._closed_with: PyserveError | None = None

    def open(self, cancel: Callable[[int], None]) -> RequestStream:
        """A stream under a fresh id. Raises the error of `fail_all` once that was called."""
        with self._lock:
            if self._closed_with is not None:
                raise copy_error(self._closed_with)
            stream = RequestStream(next(self._ids), cancel)
            self._streams[stream.request_id] = stream
            return stream

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
                case Failed(error=error):
                    self.discard(event.request_id)
                    stream.fail(from_info(error))

    def fail_all(self, error: PyserveError, *, later: PyserveError | None = None) -> None:
        """End every stream with `error` and refuse new ones with `later` (default: `error`)."""
        with self._lock:
            self._closed_with = self._closed_with or later or error
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            stream.fail(copy_error(error))


class StreamEngine:
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
        stream = self._hub.open(self._core.cancel)
        try:
            self._core.submit(stream.request_id, request)
        except BaseException:
            self._hub.discard(stream.request_id)
            raise
        return stream

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return self._core.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: list[int]) -> str:
        return self._core.detokenize(tokens)

    def pieces(self, tokens: list[int]) -> list[bytes]:
        return self._core.pieces(tokens)

    def render(self, messages: list[dict[str, Any]], options: TemplateOptions | None = None) -> str:
        return self._core.render(messages, options)

    def tokenize_chat(
        self, messages: list[dict[str, Any]], options: TemplateOptions | None = None
    ) -> list[int]:
        return self._core.tokenize_chat(messages, options)

    def tokenize_segments(self, segments: list[Segment]) -> list[int]:
        return self._core.tokenize_segments(segments)

    def info(self) -> ModelInfo:
        return self._core.info()

    def stats(self) -> EngineStats:
        return self._core.stats()

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
