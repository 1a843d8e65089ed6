"""The fake engine core, without a model: scripted, deterministic, recording.

Words are tokens. Shipped, because the tests of the front and of the processes run on it
(`pyserve serve --engine fake`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from pyserve.engine.adapters import AdapterScales
from pyserve.engine.calls import (
    Askable,
    Call,
    ClearPrefixes,
    Detokenize,
    GetInfo,
    GetStats,
    Messages,
    Pieces,
    Render,
    RenderSource,
    ScaleAdapters,
    Tokenize,
    TokenizeChat,
    TokenizeSegments,
)
from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.model import BOS, FakeVocab, fake_info
from pyserve.engine.fake.request import FakeRequest
from pyserve.engine.fake.script import CRASH, FakeScript, make_plan, split_words
from pyserve.engine.protocol import (
    Accepted,
    EngineStats,
    Event,
    Failed,
    GenerateRequest,
    Progress,
    Segment,
    Step,
)
from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    InvalidRequestError,
    PyserveError,
    QueueFullError,
    UnavailableError,
)

T = TypeVar("T")

STEERABLE = FakeScript(commands=True)
DEADLY = {"die": signal.SIGKILL, "bus": signal.SIGBUS, "ill": signal.SIGILL}


class FakeCore(Askable):
    """Implements `EngineCore`. Any thread may call any method; `poll` is for one.

    requests: every request ever submitted, in order. cancelled: the ids that `cancel` ended.
    The engine config's n_seq_max requests run at once, n_queue_max more may wait, for as long as
    their deadlines allow. chat_template: is shown; prompts are made without it. n_ranks: the model
    only ranks, by so many numbers. kill: ends the process with a signal, when the script says so.
    """

    def __init__(
        self,
        config: EngineConfig,
        script: FakeScript = STEERABLE,
        *,
        has_chat_template: bool = True,
        has_infill: bool = False,
        chat_template: str = "",
        n_ranks: int = 0,
        kill: Callable[[int], None] = signal.raise_signal,
    ) -> None:
        self.requests: list[GenerateRequest] = []
        self.cancelled: list[int] = []
        self._config = config
        self._script = script
        self._kill = kill
        self._n_before_script = 0
        info = fake_info(config, has_chat_template, has_infill, n_ranks)
        self._info = msgspec.structs.replace(info, chat_template=chat_template)
        self._vocab = FakeVocab()
        self._adapter_scales = AdapterScales(config.adapters)
        self.n_cleared = 0
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._requests: dict[int, FakeRequest] = {}  # in order of arrival
        self._is_released = False
        self._is_closed = False
        self._n_over = {"finished": 0, "failed": 0, "cancelled": 0}

    def play(self, script: FakeScript) -> None:
        """Requests that are submitted from now on follow `script`, from its first text on."""
        with self._changed:
            self._script, self._n_before_script = script, len(self.requests)

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        with self._changed:
            self._check_open()
            if len(self._requests) >= self._config.n_seq_max + self._config.n_queue_max:
                raise QueueFullError("the queue is full", retry_after_s=1)
            self._adapter_scales.chosen(request.adapters)
            index = len(self.requests) - self._n_before_script
            self.requests.append(request)
            prompt = self._prompt(request)
            words = [] if request.tokens else split_words(prompt)
            tokens = request.tokens or [BOS, *(self._vocab.token(word) for word in words)]
            n_room = self._info.n_ctx - len(tokens)
            allowed = request.sampling.allowed_token_ids
            said = _said(request, prompt)
            echo = self._vocab.text(allowed) if allowed else said
            plan = make_plan(request, said, echo, self._script, index, max(n_room, 0))
            self._requests[request_id] = FakeRequest(
                request_id, request, tokens, plan, self._info.n_ranks
            )
            self._begin_and_list(time.monotonic())
            self._changed.notify_all()

    def cancel(self, request_id: int) -> None:
        with self._changed:
            if request_id in self._requests:
                self.cancelled.append(request_id)
                self._fail(self._requests[request_id], CancelledError("cancelled"), "cancelled")
                self._changed.notify_all()

    def release(self) -> None:
        """Let all held requests go on, now and in the future."""
        with self._changed:
            self._is_released = True
            self._changed.notify_all()

    def wait_submitted(self, n: int, timeout_s: float) -> bool:
        """Wait until `n` requests were submitted; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= n, timeout_s)

    def wait_cancelled(self, n: int, timeout_s: float) -> bool:
        """Wait until `n` requests were cancelled; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.cancelled) >= n, timeout_s)

    def poll(self, timeout_s: float) -> list[Event]:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                self._check_open()
                self._step(time.monotonic())
                now = time.monotonic()
                if self._events or now >= deadline:
                    events, self._events = self._events, []
                    return events
                self._changed.wait(min(deadline, self._next_due_at()) - now)

    def ask(self, call: Call[T]) -> T:
        return cast(T, self._answer(call))

    def _answer(self, call: Call[Any]) -> object:  # noqa: C901, PLR0911  # a table
        match call:
            case Tokenize(text=text, add_special=add_special):
                if self._script.commands and CRASH in text:
                    self._kill(signal.SIGKILL)
                return self._tokens(text, add_special)
            case Detokenize(tokens=tokens):
                with self._changed:
                    return self._vocab.text(tokens)
            case Pieces(tokens=tokens):
                with self._changed:
                    return [self._vocab.text([token]).encode() for token in tokens]
            case Render(messages=messages):
                return _rendered(messages)
            case TokenizeChat(messages=messages):
                return self._tokens(_rendered(messages), add_special=True)
            case TokenizeSegments(segments=segments):
                return self._tokens("".join(each.text for each in segments), add_special=True)
            case RenderSource(source=source, messages=messages):
                return [Segment(source, False), Segment(_rendered(messages), True)]
            case GetInfo():
                return self._info
            case GetStats():
                return self._stats()
            case ScaleAdapters(scales=scales):
                return self._adapter_scales.update(scales)
            case ClearPrefixes():
                self.n_cleared += 1
                return None
        raise InvalidRequestError(f"the engine does not know the call {type(call).__name__}")

    def _tokens(self, text: str, add_special: bool) -> list[int]:
        with self._changed:
            tokens = [self._vocab.token(word) for word in split_words(text)]
        return [BOS, *tokens] if add_special else tokens

    def _stats(self) -> EngineStats:
        with self._changed:
            n_running = len(self._running())
            return EngineStats(
                n_running=n_running,
                n_waiting=len(self._requests) - n_running,
                n_finished=self._n_over["finished"],
                n_failed=self._n_over["failed"],
                n_cancelled=self._n_over["cancelled"],
            )

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise UnavailableError("the engine is closed")

    def _prompt(self, request: GenerateRequest) -> str:
        if request.messages is not None:
            return _rendered(request.messages)
        if request.tokens is not None:
            return self._vocab.text(request.tokens)
        if request.segments is not None:
            return "".join(segment.text for segment in request.segments)
        return request.prompt or ""

    def _step(self, now: float) -> None:
        """Admit new requests, then give each running request that is due its next token."""
        for request in list(self._requests.values()):
            if not request.is_accepted:
                self._admit(request)
        for request in self._begin_and_list(now):
            if request.due_at <= now and not self._is_held(request):
                self._advance(request)
                request.due_at = now + request.plan.token_s
        self._tell_all()

    def _tell_all(self) -> None:
        """Tell requests where they are: queued ones, and at the begin those that want to know."""
        waiting = self._queued()
        for position, request in enumerate(waiting, 1):
            self._tell(request, position=position, n_waiting=len(waiting), eta_ms=1000.0 * position)
        for request in self._running():
            if request.n_done == 0:
                self._tell(request, n_computed_tokens=len(request.tokens) // 2)

    def _tell(self, request: FakeRequest, **where: Any) -> None:
        """Once for each place."""
        if not (request.request.wants_progress or "position" in where):
            return
        n_prompt = len(request.tokens)
        told = Progress(request_id=request.request_id, n_prompt_tokens=n_prompt, **where)
        if told != request.told:
            request.told = told
            self._events.append(told)

    def _admit(self, request: FakeRequest) -> None:
        n_prompt = len(request.tokens)
        if request.plan.refusal is not None:
            self._fail(request, request.plan.refusal, "failed")
        elif n_prompt + (not request.request.is_pooled) > self._info.n_ctx:
            self._fail(request, _too_long(n_prompt, self._info.n_ctx), "failed")
        else:
            request.is_accepted = True
            accepted = Accepted(request_id=request.request_id, n_prompt_tokens=n_prompt)
            self._events.append(accepted)

    def _begin_and_list(self, now: float) -> list[FakeRequest]:
        """The running requests, after free slots went to queued ones, highest priority first."""
        for request in list(self._requests.values()):
            if not request.has_begun and request.starts_until <= now:
                self._fail(request, request.too_late(now), "failed")
        running = self._running()
        for request in self._queued()[: self._config.n_seq_max - len(running)]:
            request.has_begun = True
            running.append(request)
        return running

    def _queued(self) -> list[FakeRequest]:
        """The next one to run first."""
        waiting = [request for request in self._requests.values() if not request.has_begun]
        return sorted(waiting, key=_rank)

    def _running(self) -> list[FakeRequest]:
        return [request for request in self._requests.values() if request.has_begun]

    def _is_held(self, request: FakeRequest) -> bool:
        plan = request.plan
        return plan.turn == "hold" and request.n_done == plan.turn_after and not self._is_released

    def _advance(self, request: FakeRequest) -> None:
        plan = request.plan
        if request.n_done == plan.turn_after:
            self._die(plan.turn or "")
        if plan.turn == "fail" and request.n_done == plan.turn_after:
            self._fail(request, plan.failure, "failed")
            return
        if request.n_done == 0:
            self._tell(request, n_computed_tokens=len(request.tokens))
        for delta in request.advance(self._vocab):
            self._events.append(Step(request_id=request.request_id, delta=delta))
        if request.is_done:
            del self._requests[request.request_id]
            self._n_over["finished"] += 1

    def _die(self, turn: str) -> None:
        """End the process if the script says so now."""
        is_spared = turn == "ill" and self._config.kernels == "stock"
        if turn in DEADLY and not is_spared:
            self._kill(DEADLY[turn])  # for this thread, at once

    def _fail(self, request: FakeRequest, error: Any, how: str) -> None:
        info = error.to_info() if isinstance(error, PyserveError) else error
        self._events.append(Failed(request_id=request.request_id, error=info))
        del self._requests[request.request_id]
        self._n_over[how] += 1

    def _next_due_at(self) -> float:
        """The time of the next event; infinite if all requests are held and none has a deadline."""
        times = [r.due_at for r in self._running() if not self._is_held(r)]
        times += [r.starts_until for r in self._requests.values() if not r.has_begun]
        return min(times, default=float("inf"))


def _rank(request: FakeRequest) -> tuple[bool, int]:
    return request.request.background, -request.request.priority


def _rendered(messages: Messages) -> str:
    lines = [f"{message['role']}: {message['content']}\n" for message in messages]
    return "".join([*lines, "assistant:"])


def _said(request: GenerateRequest, prompt: str) -> str:
    """The text that an unscripted answer repeats, unless it may be another: the last message, or
    the prompt."""
    return str(request.messages[-1]["content"]) if request.messages else prompt


def _too_long(n_prompt: int, n_ctx: int) -> ContextLengthExceededError:
    return ContextLengthExceededError(
        f"prompt has {n_prompt:,} tokens, context is {n_ctx:,}",
        n_prompt_tokens=n_prompt,
        n_ctx=n_ctx,
    )
