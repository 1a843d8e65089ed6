"""An engine core without a model: scripted, deterministic, recording.

Words are tokens. Shipped, because the tests of the front and of the processes run on it
(`pyserve serve --engine fake`).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake_model import BOS, FakeVocab, fake_info
from pyserve.engine.fake_script import FakeScript, Plan, make_plan, split_words
from pyserve.engine.protocol import (
    Accepted,
    Delta,
    EngineStats,
    Event,
    Failed,
    Finish,
    GenerateRequest,
    ModelInfo,
    Step,
    Usage,
)
from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    PyserveError,
    QueueFullError,
    UnavailableError,
)

STEERABLE = FakeScript(commands=True)
PROMPT_CHUNK_TOKENS = 4  # that many prompt log-probabilities come at once


class _Running:
    """A request that is not over. Guarded by the core's lock."""

    def __init__(self, request_id: int, request: GenerateRequest, tokens: list[int], plan: Plan):
        self.request_id = request_id
        self.request = request
        self.tokens = tokens
        self.n_prompt = len(tokens)
        self.plan = plan
        self.n_done = 0
        self.is_accepted = False
        self.due_at = time.monotonic() + plan.token_s


class FakeCore:
    """Implements `EngineCore`. Any thread may call any method; `poll` is for one.

    requests: every request ever submitted, in order. cancelled: the ids that `cancel` ended.
    The engine config's n_seq_max requests run at once, n_queue_max more may wait.
    """

    def __init__(
        self,
        config: EngineConfig,
        script: FakeScript = STEERABLE,
        *,
        has_chat_template: bool = True,
    ) -> None:
        self.requests: list[GenerateRequest] = []
        self.cancelled: list[int] = []
        self._config = config
        self._script = script
        self._info = fake_info(config, has_chat_template)
        self._vocab = FakeVocab()
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._running: dict[int, _Running] = {}  # in order of arrival; the first n_seq_max run
        self._is_released = False
        self._is_closed = False
        self._n_over = {"finished": 0, "failed": 0, "cancelled": 0}

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        with self._changed:
            self._check_open()
            if len(self._running) >= self._config.n_seq_max + self._config.n_queue_max:
                raise QueueFullError("the queue is full", retry_after_s=1)
            index = len(self.requests)
            self.requests.append(request)
            prompt = self._prompt(request)
            words = [] if request.tokens else split_words(prompt)
            tokens = request.tokens or [BOS, *(self._vocab.token(word) for word in words)]
            n_room = self._info.n_ctx - len(tokens)
            plan = make_plan(request, _echo(request, prompt), self._script, index, max(n_room, 0))
            self._running[request_id] = _Running(request_id, request, tokens, plan)
            self._changed.notify()

    def cancel(self, request_id: int) -> None:
        with self._changed:
            if request_id in self._running:
                self.cancelled.append(request_id)
                self._fail(self._running[request_id], CancelledError("cancelled"), "cancelled")
                self._changed.notify_all()

    def release(self) -> None:
        """Let all held requests go on, now and in the future."""
        with self._changed:
            self._is_released = True
            self._changed.notify_all()

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

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:  # noqa: ARG002
        with self._changed:
            tokens = [self._vocab.token(word) for word in split_words(text)]
        return [BOS, *tokens] if add_special else tokens

    def detokenize(self, tokens: list[int]) -> str:
        with self._changed:
            return self._vocab.text(tokens)

    def render(self, messages: list[dict[str, Any]]) -> str:
        lines = [f"{message['role']}: {message['content']}\n" for message in messages]
        return "".join([*lines, "assistant:"])

    def info(self) -> ModelInfo:
        return self._info

    def stats(self) -> EngineStats:
        with self._changed:
            n_running = min(len(self._running), self._config.n_seq_max)
            return EngineStats(
                n_running=n_running,
                n_waiting=len(self._running) - n_running,
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
            return self.render(request.messages)
        if request.tokens is not None:
            return self._vocab.text(request.tokens)
        return request.prompt or ""

    def _step(self, now: float) -> None:
        """Admit what is new, then give each running request that is due its next token."""
        for running in list(self._running.values()):
            if not running.is_accepted:
                self._admit(running)
        for running in list(self._running.values())[: self._config.n_seq_max]:
            if running.due_at <= now and not self._is_held(running):
                self._advance(running)
                running.due_at = now + running.plan.token_s

    def _admit(self, running: _Running) -> None:
        if running.plan.refusal is not None:
            self._fail(running, running.plan.refusal, "failed")
        elif running.n_prompt + 1 > self._info.n_ctx:
            self._fail(running, _too_long(running.n_prompt, self._info.n_ctx), "failed")
        else:
            running.is_accepted = True
            self._events.append(
                Accepted(request_id=running.request_id, n_prompt_tokens=running.n_prompt)
            )

    def _is_held(self, running: _Running) -> bool:
        plan = running.plan
        return plan.turn == "hold" and running.n_done == plan.turn_after and not self._is_released

    def _advance(self, running: _Running) -> None:
        plan = running.plan
        if plan.turn == "die" and running.n_done == plan.turn_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if plan.turn == "fail" and running.n_done == plan.turn_after:
            self._fail(running, plan.failure, "failed")
            return
        self._tell_prompt(running)
        if running.n_done < len(plan.pieces):
            running.n_done += 1
        self._events.append(
            Step(request_id=running.request_id, delta=self._delta(running, running.n_done))
        )
        if running.n_done == len(plan.pieces):
            del self._running[running.request_id]
            self._n_over["finished"] += 1

    def _tell_prompt(self, running: _Running) -> None:
        """Before the first token, the log-probabilities of the prompt, in chunks."""
        n_top = running.request.n_prompt_logprobs
        if n_top is None or running.n_done > 0:
            return
        logprobs = self._vocab.prompt_logprobs(running.tokens, n_top)
        for begin in range(0, len(logprobs), PROMPT_CHUNK_TOKENS):
            delta = Delta(prompt_logprobs=logprobs[begin : begin + PROMPT_CHUNK_TOKENS])
            self._events.append(Step(request_id=running.request_id, delta=delta))

    def _delta(self, running: _Running, n_done: int) -> Delta:
        """The delta of the request's token number `n_done`; 0: it ends without any."""
        plan = running.plan
        finish = None
        if n_done == len(plan.pieces):
            usage = Usage(n_prompt_tokens=running.n_prompt, n_completion_tokens=n_done)
            finish = Finish(reason=plan.finish_reason, usage=usage, stop_string=plan.stop_string)
        if n_done == 0:
            return Delta(finish=finish)
        logprobs = None
        if running.request.n_logprobs is not None:
            word = plan.words[n_done - 1]
            logprobs = [self._vocab.logprob(word, n_done, running.request.n_logprobs)]
        return Delta(text=plan.pieces[n_done - 1], n_tokens=1, logprobs=logprobs, finish=finish)

    def _fail(self, running: _Running, error: Any, how: str) -> None:
        info = error.to_info() if isinstance(error, PyserveError) else error
        self._events.append(Failed(request_id=running.request_id, error=info))
        del self._running[running.request_id]
        self._n_over[how] += 1

    def _next_due_at(self) -> float:
        """When a running request is due; never, if all are held or there is none."""
        running = list(self._running.values())[: self._config.n_seq_max]
        return min((r.due_at for r in running if not self._is_held(r)), default=float("inf"))


def _echo(request: GenerateRequest, prompt: str) -> str:
    """What an unscripted answer repeats: the last message, or the prompt."""
    return str(request.messages[-1]["content"]) if request.messages else prompt


def _too_long(n_prompt: int, n_ctx: int) -> ContextLengthExceededError:
    return ContextLengthExceededError(
        f"prompt has {n_prompt:,} tokens, context is {n_ctx:,}",
        n_prompt_tokens=n_prompt,
        n_ctx=n_ctx,
    )
