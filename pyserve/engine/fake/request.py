"""One running request of the fake engine: its state and its deltas."""

from __future__ import annotations

import time

from pyserve.engine.fake.model import FakeVocab, fake_embedding, fake_ranks
from pyserve.engine.fake.script import Plan
from pyserve.engine.protocol import Delta, Finish, GenerateRequest, Progress, Usage
from pyserve.errors import DeadlineExceededError

PROMPT_CHUNK_TOKENS = 4  # that many prompt log-probabilities come at once


class FakeRequest:
    """A request that is not over. Guarded by the core's lock. n_ranks: of the model."""

    def __init__(
        self,
        request_id: int,
        request: GenerateRequest,
        tokens: list[int],
        plan: Plan,
        n_ranks: int = 0,
    ) -> None:
        self.request_id = request_id
        self._n_ranks = n_ranks
        self.request = request
        self.tokens = tokens
        self.plan = plan
        self.n_done = len(request.said)
        self.is_accepted = False
        self.told: Progress | None = None
        self.has_begun = False
        self.arrived_at = time.monotonic()
        self.due_at = self.arrived_at + plan.token_s

    @property
    def starts_until(self) -> float:
        """The time at which the request fails if it is still queued."""
        deadline_ms = self.request.deadline_ms
        return float("inf") if deadline_ms is None else self.arrived_at + deadline_ms / 1000

    @property
    def is_done(self) -> bool:
        return self.n_done == len(self.plan.pieces)

    def too_late(self, now: float) -> DeadlineExceededError:
        waited_ms, deadline_ms = round((now - self.arrived_at) * 1000), self.request.deadline_ms
        return DeadlineExceededError(
            f"the request waited for {waited_ms:,} ms, its deadline was {deadline_ms:,.0f} ms",
            waited_ms=waited_ms,
            deadline_ms=deadline_ms,
        )

    def advance(self, vocab: FakeVocab) -> list[Delta]:
        """One more token, or the end if there is none; before the first one also the prompt's."""
        prompt = [] if self.n_done > 0 else self._prompt_deltas(vocab)
        if not self.is_done:
            self.n_done += 1
        return [*prompt, self._delta(vocab)]

    def _prompt_deltas(self, vocab: FakeVocab) -> list[Delta]:
        n_top = self.request.n_prompt_logprobs
        if n_top is None:
            return []
        logprobs = vocab.prompt_logprobs(self.tokens, n_top)
        begins = range(0, len(logprobs), PROMPT_CHUNK_TOKENS)
        return [Delta(prompt_logprobs=logprobs[i : i + PROMPT_CHUNK_TOKENS]) for i in begins]

    def _delta(self, vocab: FakeVocab) -> Delta:
        plan, n_done = self.plan, self.n_done
        finish = so_far = None
        usage = Usage(n_prompt_tokens=len(self.tokens), n_completion_tokens=n_done)
        if self.is_done:
            finish = Finish(reason=plan.finish_reason, usage=usage, stop_string=plan.stop_string)
        elif self.request.wants_timings:
            so_far = Finish(reason=plan.finish_reason, usage=usage)
        if n_done == 0:
            return Delta(finish=finish, embedding=self._numbers())
        logprobs = None
        if self.request.n_logprobs is not None:
            logprobs = [vocab.logprob(plan.words[n_done - 1], n_done, self.request.n_logprobs)]
        return Delta(
            text=plan.pieces[n_done - 1],
            n_tokens=1,
            tokens=[vocab.token(plan.words[n_done - 1])],
            logprobs=logprobs,
            so_far=so_far,
            finish=finish,
        )

    def _numbers(self) -> bytes | None:
        if self.request.wants_ranks:
            return fake_ranks(self.tokens, self._n_ranks)
        return fake_embedding(self.tokens) if self.request.wants_embedding else None
