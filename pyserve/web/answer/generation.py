"""The running engine requests of one HTTP request, and how an answer is made of them.

validate -> permit -> model -> engine -> submit -> accepted -> collect, or stream
Whatever goes wrong on the way, or when the client goes, everything submitted is cancelled.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import msgspec
from flask import Response
from flask import request as http_request

from pyserve.backend.protocol import Lease
from pyserve.engine.protocol import Delta, Engine, GenerateRequest, Progress, TokenStream
from pyserve.engine.streams.merge import as_request_stream, merge
from pyserve.errors import (
    ContextLengthExceededError,
    InvalidRequestError,
    QueueFullError,
)
from pyserve.models.profile import ShapeProfile
from pyserve.models.templates.go.errors import TemplateError
from pyserve.openai.answer import Answer, Output, Steps, StreamAnswer
from pyserve.openai.configured.shaping import shaped_deltas
from pyserve.openai.context_limit import within_context
from pyserve.openai.reports import PromptProgress
from pyserve.web.answer.account import Account
from pyserve.web.answer.direct import DirectLane, StreamBypass, direct_lane
from pyserve.web.answer.late_start import begin, late_frames, when_started
from pyserve.web.answer.leasing import lease_engine
from pyserve.web.answer.sse import Bypass, DataFrames, event_frames, event_reply, nowhere
from pyserve.web.answer.target import Target
from pyserve.web.answer.waiting import place_of, prompt_progress, said_of
from pyserve.web.request.admission import admit
from pyserve.web.request.caller import Caller, current_caller
from pyserve.web.request.notes import notes, request_id
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import Services, services
from pyserve.web.request.stream_limit import Permit

A = TypeVar("A", bound=Answer)
S = TypeVar("S", bound=StreamAnswer)
T = TypeVar("T")
MakeAnswer = Callable[[Engine], A | Steps[A]]

WATCH_S = 0.25
RETRY_S = 0.05
RETRY_FOR_S = 10.0
ENGINE_GRAMMAR = "grammar"  # the engine's name of what an answer is to obey
N_AHEAD = 4  # so many requests of one client wait in the engine beside those that can run


class Generation:
    """Owns a permit, the lease of a model and the streams submitted to it. `close` may come twice.

    No more requests than the engine runs at once, and some that wait, are with it at a time, which
    clients with many prompts share: they leave room in the queue for others.
    """

    def __init__(self, parts: Services, permit: Permit, caller: Caller) -> None:
        self._parts = parts
        self._permit = permit
        self._caller = caller
        self._account = Account(parts, caller)
        self._streams: list[TokenStream] = []
        self._before: list[TokenStream] = []
        self._lease: Lease | None = None
        self._n_finished = 0
        self._leave_lists: Callable[[], None] = lambda: None
        self._has_output = False
        self._waiting: deque[GenerateRequest] = deque()
        self._shape = ShapeProfile()
        self._adapters: dict[str, float] | None = None

    def start(self, target: Target, make_answer: MakeAnswer[A]) -> A:
        """Everything up to the point where the first engine requests are accepted.

        Waits until the model is loaded. Any thread; needs no Flask. Closes itself when it fails.
        """
        try:
            self._lease = lease_engine(self._parts, target, self._caller)
            if (target.n_ctx or 0) > self._lease.engine.info().n_ctx:
                self._caller.noted.ignored.append("num_ctx")
            answer = self._made(make_answer(self._lease.engine), target)
            prompt_param, grammar_param = answer.prompt_param, answer.grammar_param
            self._submit(answer.requests, target, prompt_param, grammar_param)
        except BaseException as error:
            self._account.fail(error)
            self.close()
            raise
        return answer

    def _made(self, made: A | Steps[A], target: Target) -> A:
        """The answer, once it has the outputs of the requests that it needs first."""
        if not isinstance(made, Generator):
            return made
        try:
            request = next(made)
            while True:
                request = made.send(self._output_of(request, target))
        except StopIteration as end:
            answer: A = end.value
            return answer

    def _output_of(self, request: GenerateRequest, target: Target) -> Output:
        """All that a request before the answer gives."""
        self._submit([request], target, None, ENGINE_GRAMMAR)
        output = Output()
        with self._account.watching():
            for item in merge(self._streams, WATCH_S, lambda: []):
                self._caller.watch.check()
                if item is not None:
                    output.push(item[1])
                    self._account.see(len(self._before), item[1])
        self._before += self._streams
        self._streams = []
        return output

    def _submit(
        self,
        wanted: Sequence[GenerateRequest],
        target: Target,
        prompt_param: str | None,
        grammar_param: str,
    ) -> None:
        """Run the `wanted` requests and wait until the first ones are accepted.

        target: its profile has what the model does to their texts, unless they have to obey a
        constraint, and the LoRA adapters of those that name none.
        Raises the first error; the rest is then for `close` to cancel.
        """
        assert self._lease is not None
        self._engine = engine = self._lease.engine
        self._prompt_param, self._grammar_param = prompt_param, grammar_param
        is_constrained = any(request.grammar for request in wanted)
        self._shape = ShapeProfile() if is_constrained else target.profile.shape
        self._adapters = target.profile.lora
        # In the background many such requests run beside each other, and the queue is for others.
        self._n_at_once = 1 if self._caller.is_background else engine.info().n_seq_max + N_AHEAD
        with self._naming_fields():
            requests = within_context(engine, wanted, target.n_ctx)
            if len(requests) > 1:
                self._leave_lists = self._parts.lists.enter(target.engine_id)
            self._engine_id = target.engine_id
            self._waiting.extend(self._account.open(engine, requests))
            for stream in self._submit_more():
                while not stream.wait_accepted(WATCH_S):
                    self._caller.watch.check()

    def deltas(self) -> Iterator[tuple[int, Delta] | None]:
        """Deltas as they come, with the index of their request; None about every WATCH_S.

        Raises ClientGoneError, or the first error of a stream.
        """
        watched_at = time.monotonic()
        with self._account.watching(), self._naming_fields():
            merged = merge(self._streams, WATCH_S, self._submit_more)
            for item in shaped_deltas(merged, self._shape):
                if item is None or time.monotonic() - watched_at >= WATCH_S:
                    self._caller.watch.check()
                    watched_at = time.monotonic()
                self._has_output = self._has_output or item is not None
                if item is not None:
                    self._account.see(len(self._before) + item[0], item[1])
                    self._n_finished += item[1].finish is not None
                yield item
        self.close()  # before the client knows that it is over, and asks again

    def collect(self) -> list[Output]:
        """Everything, by request."""
        outputs = [Output() for _ in range(len(self._streams) + len(self._waiting))]
        for item in self.deltas():
            if item is not None:
                index, delta = item
                outputs[index].push(delta)
        return outputs

    def told_deltas(self) -> Iterator[tuple[int, Delta] | PromptProgress | None]:
        """The same, and how much of the prompts is computed: at once, and whenever it is more.

        The last progress, before the last request begins to answer, has all of them.
        """
        told = self._prompt_progress()
        yield told
        silent = set(range(len(self._streams) + len(self._waiting)))
        for item in self.deltas():
            now = self._prompt_progress() if silent else told
            if item is not None:
                silent.discard(item[0])
            if now.processed > told.processed or (item is not None and now != told):
                told = now
                yield told
            yield item

    def _prompt_progress(self) -> PromptProgress:
        return prompt_progress(self._told(), self.n_prompt_tokens)

    def _told(self) -> list[Progress | None]:
        return [stream.progress for stream in self._streams]

    @property
    def n_prompt_tokens(self) -> int:
        """The tokens of the prompts that were accepted."""
        return sum(stream.n_prompt_tokens or 0 for stream in self._streams)

    def where(self) -> tuple[str, bool]:
        """Before the first output a sentence about where the request is, and whether in a queue."""
        if self._has_output:
            return nowhere()
        told = self._told()
        return said_of(told), place_of(told) is not None

    def is_due(self) -> bool:
        """Whether the client is to be told that it waits: it is queued, and has all the time."""
        return self.position is not None and self._caller.patience.left_s is None

    @property
    def position(self) -> int | None:
        """Its place in the queue, 1 is the next; None: it is in none, or not known."""
        place = None if self._has_output else place_of(self._told())
        return None if place is None else place.position

    def bypass(self, lane: DirectLane | None) -> Bypass | None:
        """How plain frames may go past this thread; None: each is to be looked at here."""
        if lane is None or len(self._streams) != 1 or self._waiting:
            return None
        if self._shape != ShapeProfile():
            return None
        return StreamBypass(lane, as_request_stream(self._streams[0]))

    def _submit_more(self) -> list[TokenStream]:
        """Submit what may be with the engine now; less if its queue is full.

        Raises QueueFullError if it was full at once, or when it is full for long afterwards.
        """
        begin = len(self._streams)
        gives_up_at = time.monotonic() + RETRY_FOR_S
        n_most = self._parts.lists.share(self._engine_id, self._n_at_once)
        while self._waiting and self._n_with_engine < n_most:
            patience = self._caller.patience
            deadline_ms = patience.left_ms
            request = self._waiting[0]
            request = msgspec.structs.replace(
                request,
                deadline_ms=deadline_ms,
                max_total_ms=deadline_ms if patience.is_whole else None,
                tenant=self._caller.tenant,
                trace_id=self._caller.request_id,
                session=self._caller.session or request.session,
                background=self._caller.is_background,
                adapters=self._adapters if request.adapters is None else request.adapters,
            )
            try:
                self._streams.append(self._engine.submit(request))
            except QueueFullError:
                if self._n_with_engine > 0:
                    break  # again when one of ours ends
                if not self._streams or time.monotonic() >= gives_up_at:
                    raise
                self._caller.watch.check()
                time.sleep(RETRY_S)
                continue
            self._waiting.popleft()
        return self._streams[begin:]

    @property
    def _n_with_engine(self) -> int:
        return len(self._streams) - self._n_finished

    @contextmanager
    def _naming_fields(self) -> Iterator[None]:
        """Put the client's field into errors about the prompt's length, template and grammar."""
        try:
            yield
        except (ContextLengthExceededError, TemplateError) as error:
            error.param = error.param or self._prompt_param
            raise
        except InvalidRequestError as error:
            error.param = self._grammar_param if error.param == ENGINE_GRAMMAR else error.param
            raise

    def close(self) -> None:
        """Cancel what still runs and give model and permit back. Any thread."""
        streams = [*self._before, *self._streams]
        for stream in streams:
            stream.cancel()
        self._account.close(streams)
        self._leave_lists()
        if self._lease is not None:
            self._lease.release()
        self._permit.release()


def generate(target: Target, make_answer: MakeAnswer[A]) -> Response:
    """Answer the current request in one piece."""
    generation = _new_generation()
    answer = generation.start(target, make_answer)
    try:
        return json_reply(answer.response(generation.collect()))
    finally:
        generation.close()


def generate_stream(
    target: Target,
    make_answer: MakeAnswer[S],
    written: type[DataFrames] = DataFrames,
    *,
    ping_s: int | None = None,
    progress: Callable[[S, PromptProgress], Iterable[msgspec.Struct]] | None = None,
    may_begin_late: bool = False,
) -> Response:
    """Answer the current request as a stream, by default of server-sent events.

    They begin with the first output, so that errors before it have their status; but not later
    than the time after which a silent stream says that it is still there, and soon where it is
    queued, unless it has a deadline.
    ping_s: that time, < 1 is none; None: the server's. progress: makes chunks of how much of the
    prompt is computed. may_begin_late: other requests may come before the answer's own.
    """
    keep_alive_s = services().keep_alive_s
    if ping_s is not None:
        keep_alive_s = float(ping_s) if ping_s >= 1 else threading.TIMEOUT_MAX
    generation = _new_generation()
    lane = direct_lane(http_request.environ, services().config.write_timeout_s)
    stream = partial(_stream, generation, written, request_id(), keep_alive_s, lane, progress)
    if target.is_ready and not may_begin_late:
        answer = generation.start(target, make_answer)
    else:
        started = begin(lambda: generation.start(target, make_answer))
        try:
            answer = started.result(keep_alive_s)
        except FutureTimeoutError:
            return _late_reply(generation, started, stream, written, keep_alive_s)
    deltas = generation.deltas() if progress is None else generation.told_deltas()
    try:
        is_due = generation.is_due if written.says_where else lambda: False
        deltas = begun(deltas, keep_alive_s, is_due)
    except BaseException:
        generation.close()
        raise
    notes().queue_position = generation.position
    return event_reply(stream(answer, deltas), generation.close, written.content_type)


def _new_generation() -> Generation:
    """That of the current request, with a permit. Raises what `admit` raises."""
    caller = current_caller()
    return Generation(services(), admit(), caller)


def _stream(
    generation: Generation,
    written: type[DataFrames],
    shown_id: str,
    keep_alive_s: float,
    lane: DirectLane | None,
    progress: Callable[[S, PromptProgress], Iterable[msgspec.Struct]] | None,
    answer: S,
    deltas: Iterator[tuple[int, Delta] | PromptProgress | None],
) -> Iterator[bytes]:
    """The events of an answer."""
    return event_frames(
        deltas,
        answer,
        shown_id,
        written(answer),
        n_prompt_tokens=generation.n_prompt_tokens,
        keep_alive_s=keep_alive_s,
        where=generation.where,
        tell=None if progress is None else partial(progress, answer),
        bypass=generation.bypass(lane),
    )


def _late_reply(
    generation: Generation,
    started: Future[S],
    stream: Callable[[S, Iterator[tuple[int, Delta] | PromptProgress | None]], Iterator[bytes]],
    written: type[DataFrames],
    keep_alive_s: float,
) -> Response:
    """The stream of an answer whose model is not loaded yet."""
    frames = late_frames(
        started,
        lambda answer: stream(answer, generation.deltas()),
        written,
        request_id(),
        keep_alive_s,
    )

    def close() -> None:
        when_started(started, lambda _answer: generation.close())

    return event_reply(frames, close, written.content_type)


def begun(
    deltas: Iterator[T | None], wait_s: float, is_due: Callable[[], bool] = lambda: False
) -> Iterator[T | None]:
    """All of `deltas`, once there is one that is not None, `wait_s` have passed, or it is due.

    Raises what comes instead of the first one.
    """
    waits_until = time.monotonic() + wait_s
    for item in deltas:
        if item is not None or time.monotonic() >= waits_until or is_due():
            return itertools.chain([item], deltas)
    return iter(())
