"""One running request, as its reader and the flow of engine events see it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from pyserve.engine.protocol import Delta, GenerateRequest, Progress
from pyserve.errors import PyserveError, UnavailableError

MAX_QUEUED_DELTAS = 4096
MAX_QUEUED_CHARS = 1 << 20

Listener = Callable[[], object]
Cancel = Callable[[int], None]
Sink = Callable[[Delta], bool]


class RequestStream:
    """One running request, fed by a `StreamHub`. Implements `TokenStream`.

    At most MAX_QUEUED_DELTAS deltas or MAX_QUEUED_CHARS characters wait for the reader. Beyond that
    the request is cancelled, what waits is dropped, and the reader gets an UnavailableError.
    When its engine dies the stream can be moved to another one, which the reader does not notice.
    Thread: one reader; `push` and `fail` from the hub's thread; `cancel` from any thread.

    said: the tokens of the answer so far. n_logprobs: those that came with them.
    has_started: something has come. has_progressed: since it was submitted, or moved.
    n_deaths: engines that died under it; n_blamed: those that it may have brought down.
    kernels: those that its engine computes with, "" = not known. begun_at: monotonic seconds.
    answered_at: when its first token came; None: not yet.
    """

    def __init__(self, request: GenerateRequest, request_id: int, cancel: Cancel) -> None:
        self.request = request
        self.said: list[int] = []
        self.n_logprobs = 0
        self.has_started = False
        self.has_progressed = False
        self.n_deaths = 0
        self.n_blamed = 0
        self.kernels = ""
        self.begun_at = time.monotonic()
        self.answered_at: float | None = None
        self.request_id = request_id
        self._cancel = cancel
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._progress = threading.Event()
        self._deltas: deque[Delta] = deque()
        self._n_chars = 0
        self._n_prompt_tokens: int | None = None
        self._told: Progress | None = None
        self._error: PyserveError | None = None
        self._is_over = False
        self._is_cancelled = False
        self._listener: Listener | None = None
        self._sink: Sink | None = None

    @property
    def n_prompt_tokens(self) -> int | None:
        return self._n_prompt_tokens

    @property
    def progress(self) -> Progress | None:
        return self._told

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
        self._is_cancelled = True
        if not self._is_over:
            self._cancel(self.request_id)

    @property
    def is_over(self) -> bool:
        return self._is_over

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def compute_with(self, kernels: str) -> None:
        """Its engine has these kernels. Others than before are a new chance: they were to blame."""
        if self.kernels not in ("", kernels):
            self.n_blamed = 0
        self.kernels = kernels

    def move(self, request_id: int, cancel: Cancel) -> None:
        """From now on another engine works on it, under another id."""
        self.has_progressed = False
        self._progress.clear()
        self.request_id, self._cancel = request_id, cancel

    def lose(self, *, is_blamed: bool = True) -> None:
        """Its engine has died; is_blamed: maybe of this request."""
        if is_blamed:
            self.n_deaths += 1
            self.n_blamed += self.n_deaths == 1 or not self.has_progressed
        self._progress.set()

    def wait_progress(self, timeout_s: float) -> None:
        """Wait until something has come since it was moved, or it is over or lost."""
        self._progress.wait(timeout_s)

    def accept(self, n_prompt_tokens: int) -> None:
        """The request was admitted."""
        with self._changed:
            self._n_prompt_tokens = n_prompt_tokens
            self._changed.notify()

    def tell(self, progress: Progress) -> None:
        """Where the request is now."""
        self._told = progress

    def push(self, delta: Delta) -> None:
        """Add a delta for the reader; ignored after the end."""
        with self._lock:
            if self._is_over:
                return
            self._note(delta)
            if self._sink is not None:
                if delta.finish is None and self._sink(delta):
                    return
                self._sink = None
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

    def divert(self, sink: Sink | None) -> None:
        """Have deltas given to `sink`, in the hub's thread, in place of the reader; None: no more.

        Not while something waits for the reader. The first delta that the sink does not take (it
        returns False), and the last one of the stream, end it. Afterwards it is not called again.
        """
        with self._lock:
            is_idle = not self._deltas and not self._is_over
            self._sink = sink if is_idle else None

    def listen(self, listener: Listener | None) -> None:
        """Have `listener` called for each delta to take and for the error, also those there are."""
        with self._lock:
            self._listener = listener
            if listener is not None:
                for _ in range(len(self._deltas) + (self._error is not None)):
                    listener()

    def _note(self, delta: Delta) -> None:
        if self.answered_at is None and delta.tokens:
            self.answered_at = time.monotonic()
        self.said += delta.tokens
        self.n_logprobs += len(delta.logprobs or ())
        self.has_started = self.has_progressed = True
        self._progress.set()

    def _end(self, error: PyserveError) -> None:
        self._error = error
        self._is_over = True
        self._sink = None
        self._progress.set()
        self._wake()

    def _wake(self) -> None:
        if self._listener is not None:
            self._listener()
        else:
            self._changed.notify()
