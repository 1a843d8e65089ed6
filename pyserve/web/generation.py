"""The running engine requests of one HTTP request, and how an answer is made of them.

validate -> permit -> model -> engine -> submit -> accepted -> collect, or stream
Whatever goes wrong on the way, or when the client goes, everything submitted is cancelled.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
from flask import Response, request

from pyserve.engine.merge import merge
from pyserve.engine.protocol import Delta, Engine, GenerateRequest, TokenStream
from pyserve.errors import ContextLengthExceededError
from pyserve.openai.answer import Answer, Output, StreamAnswer
from pyserve.web.disconnect import ClientWatch
from pyserve.web.engines import pick_model, ready_engine
from pyserve.web.limits import Permit
from pyserve.web.replies import json_reply
from pyserve.web.request_id import request_id
from pyserve.web.services import services
from pyserve.web.sse import DataFrames, event_frames, event_reply
from pyserve.web.timeout import Patience, request_patience

A = TypeVar("A", bound=Answer)
S = TypeVar("S", bound=StreamAnswer)
T = TypeVar("T")
MakeAnswer = Callable[[str, Engine], A]

WATCH_S = 0.25


class Generation:
    """Owns a permit and the streams submitted under it. `close` may come twice."""

    def __init__(self, permit: Permit, watch: ClientWatch, patience: Patience) -> None:
        self._permit = permit
        self._watch = watch
        self._patience = patience
        self._streams: list[TokenStream] = []

    def submit(self, engine: Engine, requests: list[GenerateRequest]) -> None:
        """Run `requests` and wait until each is accepted.

        Raises the first error; the rest is then for `close` to cancel.
        """
        left_s = self._patience.left_s
        deadline_ms = None if left_s is None else left_s * 1000
        for engine_request in requests:
            timed = msgspec.structs.replace(engine_request, deadline_ms=deadline_ms)
            self._streams.append(engine.submit(timed))
        for stream in self._streams:
            while not stream.wait_accepted(WATCH_S):
                self._watch.check()

    def deltas(self) -> Iterator[tuple[int, Delta] | None]:
        """Deltas as they come, with the index of their request; None about every WATCH_S.

        Raises ClientGoneError, or the first error of a stream.
        """
        watched_at = time.monotonic()
        for item in merge(self._streams, WATCH_S):
            if item is None or time.monotonic() - watched_at >= WATCH_S:
                self._watch.check()
                watched_at = time.monotonic()
            yield item

    def collect(self) -> list[Output]:
        """Everything, by request."""
        outputs = [Output() for _ in self._streams]
        for item in self.deltas():
            if item is not None:
                index, delta = item
                outputs[index].push(delta)
        return outputs

    def close(self) -> None:
        """Cancel what still runs and give the permit back. Any thread."""
        for stream in self._streams:
            stream.cancel()
        self._permit.release()


def generate(named: str | None, path_model: str | None, make_answer: MakeAnswer[A]) -> Response:
    """Answer the current request in one piece. named: the model in the body."""
    generation, answer = _start(named, path_model, make_answer)
    try:
        return json_reply(answer.response(generation.collect()))
    finally:
        generation.close()


def generate_stream(
    named: str | None,
    path_model: str | None,
    make_answer: MakeAnswer[S],
    make_frames: Callable[[S], DataFrames] = DataFrames,
) -> Response:
    """Answer the current request as server-sent events.

    They begin with the first output, so that errors before it have their status; but not later
    than the time after which a silent stream says that it is still there.
    """
    keep_alive_s = services().keep_alive_s
    generation, answer = _start(named, path_model, make_answer)
    try:
        deltas = begun(generation.deltas(), keep_alive_s)
    except BaseException:
        generation.close()
        raise
    frames = make_frames(answer)
    events = event_frames(deltas, answer, request_id(), frames, keep_alive_s=keep_alive_s)
    return event_reply(events, generation.close)


def begun(deltas: Iterator[T | None], wait_s: float) -> Iterator[T | None]:
    """All of `deltas`, once there is one that is not None or `wait_s` have passed.

    Raises what comes instead of the first one.
    """
    waits_until = time.monotonic() + wait_s
    for item in deltas:
        if item is not None or time.monotonic() >= waits_until:
            return itertools.chain([item], deltas)
    return iter(())


def _start(
    named: str | None, path_model: str | None, make_answer: MakeAnswer[A]
) -> tuple[Generation, A]:
    """Everything up to the point where all engine requests are accepted."""
    parts = services()
    watch = ClientWatch(request.environ)
    patience = request_patience()
    generation = Generation(parts.stream_limit.acquire(), watch, patience)
    try:
        model_id = pick_model(named, path_model)
        wait_s = patience.at_most(parts.config.load_timeout_s)
        engine = ready_engine(parts.backend, model_id, wait_s, watch)
        answer = make_answer(model_id, engine)
        generation.submit(engine, answer.requests)
    except ContextLengthExceededError as error:
        generation.close()
        error.param = error.param or answer.prompt_param
        raise
    except BaseException:
        generation.close()
        raise
    return generation, answer
