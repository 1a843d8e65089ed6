"""Requests that outlive the engine process that worked on them.

When an engine dies its unfinished requests are given to the next one. One that had begun to answer
goes on after the tokens that its client has already; the client notices a pause, and nothing else.

They are given one by one, each after the one before it has made progress: the request that brings
engines down does so alone, is told from those that only stood beside it, and then refused.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from pyserve.engine.calls import Call
from pyserve.engine.protocol import GenerateRequest
from pyserve.engine.streams.stream import RequestStream
from pyserve.errors import (
    CancelledError,
    EngineRestartedError,
    PoisonRequestError,
    PyserveError,
    QueueFullError,
)

PROGRESS_S = 3.0  # so long one request is watched before the next one follows,
N_WATCHED = 16  # if it is one of the first: those behind may have to wait for their turn
RETRY_S = 0.1
QUEUE_PATIENCE_S = 30.0
REFUSED_S = 600.0
LEAST_MS = 1.0  # of a time that is over; 0 is no limit
MAX_REFUSED = 1024
MAX_DEATHS = 8

T = TypeVar("T")

log = logging.getLogger(__name__)


class Successor(Protocol):
    """An engine that can take over requests and calls."""

    @property
    def is_alive(self) -> bool: ...

    def ask_once(self, call: Call[T]) -> T:
        """As `Engine.ask`. Raises EngineRestartedError when this engine ends meanwhile."""
        ...

    def adopt(self, stream: RequestStream) -> bool:
        """Submit what is left of a request. Raises what `Engine.submit` raises.

        False: this engine has ended, too. If it ends now, `Reviver.take` gets the stream again.
        """
        ...


def remaining(stream: RequestStream) -> GenerateRequest:
    """The request that goes on where the stream is."""
    request = msgspec.structs.replace(stream.request, max_total_ms=_left_ms(stream))
    if not stream.has_started:
        return request
    return msgspec.structs.replace(
        request, said=list(stream.said), deadline_ms=None, max_decode_ms=None
    )


def _left_ms(stream: RequestStream) -> float | None:
    """What is left of its times; that of the answer goes on while no engine works on it."""
    limits = [(stream.request.max_total_ms, stream.begun_at)]
    if stream.answered_at is not None:
        limits.append((stream.request.max_decode_ms, stream.answered_at))
    now = time.monotonic()
    left = [limit - 1000 * (now - since) for limit, since in limits if limit is not None]
    return max(min(left), LEAST_MS) if left else None


def can_go_on(stream: RequestStream) -> bool:
    """Whether nothing would be said twice, or left out."""
    if not stream.has_started:
        return True
    if stream.request.n_prompt_logprobs is not None or stream.request.n_logit_rows > 0:
        return False
    return stream.request.n_logprobs is None or stream.n_logprobs == len(stream.said)


class Blocklist:
    """Requests that brought engines down, by keyed hashes of their content. Any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}

    def add(self, request: GenerateRequest) -> None:
        now = self._clock()
        kept = [(digest, until) for digest, until in self._until.items() if until > now]
        self._until = dict(kept[1 - MAX_REFUSED :]) | {self._digest(request): now + REFUSED_S}

    def check(self, request: GenerateRequest) -> None:
        """Raises PoisonRequestError for a request that was added in the last minutes."""
        if self._until and self._until.get(self._digest(request), 0.0) > self._clock():
            raise refused()

    def _digest(self, request: GenerateRequest) -> bytes:
        content = msgspec.structs.replace(
            request, said=[], deadline_ms=None, max_total_ms=None, trace_id="", session=""
        )
        return hashlib.blake2b(msgspec.msgpack.encode(content), key=self._key).digest()


class Reviver:
    """Gives the requests of dead engines of one model to their successors. Any thread.

    find: waits for the next engine; raises a PyserveError when there will be none.
    goes_on: also requests that have begun to answer; else those are failed at once.
    """

    def __init__(
        self, find: Callable[[], Successor], blocklist: Blocklist, *, goes_on: bool = True
    ) -> None:
        self._find = find
        self._blocklist = blocklist
        self._goes_on = goes_on
        self._turn = threading.Lock()
        self._waiting: set[RequestStream] = set()
        self._closed_with: PyserveError | None = None
        self.n_revived = 0

    def take(
        self, orphans: list[RequestStream], error: PyserveError, *, is_blamed: bool = True
    ) -> None:
        """The engine of `orphans` died. Returns at once; those that cannot go on get `error`.

        is_blamed: it may have died of one of them; else it ends in good order.
        """
        if not orphans:
            return  # nobody has missed it; its supervisor says how it ended
        names = sorted({stream.request.trace_id for stream in orphans})
        log.log(
            logging.ERROR if is_blamed else logging.INFO,
            "an engine ended with %d requests in work: %s",
            len(orphans),
            ", ".join(names),
        )
        for stream in orphans:
            stream.lose(is_blamed=is_blamed)
        waiting = [stream for stream in orphans if self._survives(stream, error)]
        self._begin(
            sorted(waiting, key=lambda stream: not stream.has_started), is_watched=is_blamed
        )

    def take_new(self, request: GenerateRequest) -> RequestStream:
        """A request that came when its engine had just died; it is not to blame."""
        stream = RequestStream(request, 0, lambda _request_id: None)
        self._begin([stream])
        return stream

    def ask(self, call: Call[T], *, is_blamed: bool) -> T:
        """What the next engine answers to a call whose engine died. Raises as `Engine.ask`.

        is_blamed: it may have died of the call, which is refused then if the next one dies, too.
        """
        gives_up_at = time.monotonic() + QUEUE_PATIENCE_S
        while time.monotonic() < gives_up_at:
            if self._closed_with is not None:
                raise self._closed_with
            engine = self._find()
            if engine.is_alive:
                try:
                    return engine.ask_once(call)
                except EngineRestartedError:
                    if is_blamed:
                        raise refused() from None
                    raise
            time.sleep(RETRY_S)  # it is known to have ended, but not yet to the supervisor
        raise EngineRestartedError("no engine came in place of the one that ended", retry_after_s=1)

    def check(self, request: GenerateRequest) -> None:
        """Raises PoisonRequestError for a request that brought engines down."""
        self._blocklist.check(request)

    def close(self, error: PyserveError) -> None:
        """End those that still wait with `error`, and all that come later."""
        self._closed_with = error
        for stream in list(self._waiting):
            stream.fail(error)

    def _begin(self, waiting: list[RequestStream], *, is_watched: bool = True) -> None:
        if not waiting:
            return
        self._waiting.update(waiting)
        if self._closed_with is not None:
            self.close(self._closed_with)
            return
        threading.Thread(
            target=self._run, args=(waiting, is_watched), name="engine-revival", daemon=True
        ).start()

    def _survives(self, stream: RequestStream, error: PyserveError) -> bool:
        if stream.is_cancelled:
            stream.fail(CancelledError("cancelled"))
        elif stream.n_blamed > 1 or stream.n_deaths > MAX_DEATHS:
            log.error("a request was there in %d crashes and is refused", stream.n_deaths)
            self._blocklist.add(stream.request)
            stream.fail(refused())
        elif stream.has_started and not (self._goes_on and can_go_on(stream)):
            stream.fail(error)
        return not stream.is_over

    def _run(self, waiting: list[RequestStream], is_watched: bool) -> None:
        for n, stream in enumerate(waiting):
            with self._turn:
                try:
                    self._revive(stream)
                    if is_watched and n < N_WATCHED:
                        stream.wait_progress(PROGRESS_S)
                except PyserveError as error:
                    stream.fail(error)
                finally:
                    self._waiting.discard(stream)

    def _revive(self, stream: RequestStream) -> None:
        gives_up_at = time.monotonic() + QUEUE_PATIENCE_S
        while not stream.is_cancelled:
            if self._closed_with is not None:
                raise self._closed_with
            try:
                if self._find().adopt(stream):
                    self.n_revived += 1
                    return
            except QueueFullError:
                if time.monotonic() >= gives_up_at:
                    raise
            time.sleep(RETRY_S)
        stream.fail(CancelledError("cancelled"))


def refused() -> PoisonRequestError:
    """The error of a request or call that engines die of."""
    return PoisonRequestError("the engine crashed twice while it worked on this request")
