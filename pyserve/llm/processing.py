"""Logits processors of the caller's between the model and the sampling of each token."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pyserve.client.params import LogitsProcessor
from pyserve.engine.calls import Askable, Call
from pyserve.engine.protocol import (
    Delta,
    Engine,
    Finish,
    GenerateRequest,
    TokenStream,
)
from pyserve.engine.streams.stream import RequestStream
from pyserve.errors import CancelledError, InvalidRequestError, NumericError, PyserveError
from pyserve.llm.arrays import load_numpy, rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

WATCH_S = 0.25
LEAST_MS = 1.0  # of a time that is over; 0 is no limit


class Processing(Askable):
    """Implements `Engine` over another one, whose requests it makes step by step.

    Each token is two requests: one gives the logits, which the processors change; the other goes on
    with the answer, with what they changed as biases, and is cancelled after its first token. So
    grammars, penalties, stop strings, limits and seeds are the engine's own.

    error: what a processor raised, for the caller; its request fails as well.
    """

    def __init__(self, processors: Sequence[LogitsProcessor]) -> None:
        self._processors = tuple(processors)
        self._engine: Engine | None = None
        self.error: Exception | None = None

    def over(self, engine: Engine) -> Engine:
        """This, over `engine`."""
        self._engine = engine
        return self

    @property
    def _below(self) -> Engine:
        assert self._engine is not None, "over() comes first"
        return self._engine

    def submit(self, request: GenerateRequest) -> TokenStream:
        """As `Engine.submit`. Raises InvalidRequestError for log-probabilities: none are told."""
        if request.is_pooled or request.max_tokens == 0:
            return self._below.submit(request)
        if request.n_logprobs is not None or request.n_prompt_logprobs is not None:
            message = "there are no log-probabilities of answers with logits processors"
            raise InvalidRequestError(message, param="logprobs")
        walk = _Walk(self._below, request, self)
        threading.Thread(target=walk.run, name="logits-processors", daemon=True).start()
        return walk.stream

    def ask(self, call: Call[T]) -> T:
        return self._below.ask(call)

    def close(self) -> None:
        self._below.close()

    def process(self, tokens: list[int], row: NDArray[np.float32]) -> dict[int, float]:
        """What the processors make of a row, as biases. Raises what they raise."""
        module = load_numpy()
        known = module.asarray(tokens, dtype=module.int32)
        changed = row.copy()
        try:
            for processor in self._processors:
                made = processor(known, changed)
                changed = changed if made is None else module.asarray(made, dtype=module.float32)
                if changed.shape != row.shape:
                    message = f"a logits processor made {changed.shape} of {row.shape} logits"
                    raise InvalidRequestError(message, param="logits_processors")
        except Exception as error:
            self.error = error
            raise
        if module.isnan(changed).any() or module.isposinf(changed).any():
            raise NumericError("a logits processor gave a logit that is NaN or infinite")
        if module.isneginf(changed).all():
            raise NumericError("the logits processors left no token")
        with module.errstate(invalid="ignore"):
            biases = changed - row
        (tokens_changed,) = module.nonzero(changed != row)
        return dict(zip(tokens_changed.tolist(), biases[tokens_changed].tolist(), strict=True))


class _Walk:
    """One request, token by token. Thread: its own; the stream's reader has another."""

    def __init__(self, engine: Engine, request: GenerateRequest, processing: Processing) -> None:
        sampling = request.sampling
        if sampling.seed is None:
            seed = secrets.randbits(63)
            sampling = msgspec.structs.replace(sampling, seed=seed)
        self._engine = engine
        self._request = msgspec.structs.replace(
            request, sampling=sampling, draft="", n_draft_max=0, wants_progress=False
        )
        self._processing = processing
        self._is_cancelled = threading.Event()
        self._begun_at = time.monotonic()
        self._answered_at: float | None = None
        self._first: Finish | None = None
        self.stream = RequestStream(request, 0, lambda _request_id: self._is_cancelled.set())

    def run(self) -> None:
        try:
            self._walk()
        except PyserveError as error:
            self.stream.fail(error)
        except Exception as error:  # a processor's: `Processing` has it for the caller
            self.stream.fail(InvalidRequestError(str(error), param="logits_processors"))

    def _walk(self) -> None:
        prompt = self._prompt_tokens()
        said = list(self._request.said)
        finish = None
        while finish is None:
            row = self._row([*prompt, *said])
            delta = self._next(said, self._processing.process([*prompt, *said], row))
            said += delta.tokens
            self._answered_at = self._answered_at or time.monotonic()
            finish = delta.finish
            self.stream.push(delta if finish is None else self._last(delta, finish))

    def _prompt_tokens(self) -> list[int]:
        request, engine = self._request, self._engine
        if request.messages is not None:
            return engine.tokenize_chat(request.messages, request.template)
        if request.segments is not None:
            return engine.tokenize_segments(request.segments)
        if request.tokens is not None:
            return request.tokens
        parses = request.parse_special
        return engine.tokenize(request.prompt or "", add_special=True, parse_special=parses)

    def _row(self, tokens: list[int]) -> NDArray[np.float32]:
        """The logits of what follows `tokens`."""
        request = self._request
        question = GenerateRequest(
            tokens=tokens,
            n_logit_rows=1,
            max_tokens=0,
            n_draft_max=0,
            adapters=request.adapters,
            tenant=request.tenant,
            cache_salt=request.cache_salt,
            saves_prefix=request.saves_prefix,
            priority=request.priority,
            background=request.background,
            deterministic=request.deterministic,
            trace_id=request.trace_id,
            deadline_ms=request.deadline_ms if self._first is None else None,
            max_total_ms=self._left_ms(request.max_total_ms, self._begun_at),
        )
        parts = []
        for delta in self._deltas(question):
            parts.append(delta.logits or b"")
            if self._first is None and delta.finish is not None:
                self._first = delta.finish
                self.stream.accept(delta.finish.usage.n_prompt_tokens)
        row: NDArray[np.float32] = rows_of(b"".join(parts), self._engine.info().n_vocab)[0]
        return row

    def _next(self, said: list[int], biases: dict[int, float]) -> Delta:
        """The next piece of the answer."""
        request = self._request
        own = request.sampling.logit_bias
        both = {**own, **{token: own.get(token, 0.0) + bias for token, bias in biases.items()}}
        question = msgspec.structs.replace(
            request,
            said=said,
            sampling=msgspec.structs.replace(request.sampling, logit_bias=both),
            deadline_ms=None,
            max_total_ms=self._left_ms(request.max_total_ms, self._begun_at),
            max_decode_ms=self._left_ms(request.max_decode_ms, self._answered_at),
        )
        for delta in self._deltas(question):
            if delta.tokens or delta.finish is not None:
                return delta
        raise CancelledError("the engine ended the request")

    def _deltas(self, question: GenerateRequest) -> Iterator[Delta]:
        """Those of a request, which is cancelled when no more of them are taken."""
        self._check()
        stream = self._engine.submit(question)
        try:
            delta = None
            while delta is None or delta.finish is None:
                delta = stream.get(WATCH_S)
                self._check()
                if delta is not None:
                    yield delta
        finally:
            stream.cancel()

    def _check(self) -> None:
        if self._is_cancelled.is_set():
            raise CancelledError("the request was cancelled")

    def _last(self, delta: Delta, finish: Finish) -> Delta:
        """The last delta, with the counts and times of all steps."""
        first = self._first or finish
        now = time.monotonic()
        usage = msgspec.structs.replace(finish.usage, n_cached_tokens=first.usage.n_cached_tokens)
        timings = msgspec.structs.replace(
            first.timings, decode_ms=1000 * (now - (self._answered_at or now))
        )
        told = msgspec.structs.replace(finish, usage=usage, timings=timings)
        return msgspec.structs.replace(delta, finish=told)

    @staticmethod
    def _left_ms(limit: float | None, since: float | None) -> float | None:
        if limit is None or since is None:
            return limit
        return max(limit - 1000 * (time.monotonic() - since), LEAST_MS)
