"""One simulated replica: prompts one after another, answers side by side, an exact cache."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from bench.cluster.traffic import Turn
from pyserve.cluster.fleet import Load
from pyserve.engine.prefixes.keys import BLOCK_TOKENS
from pyserve.engine.prefixes.sketch import Sketch


@dataclass(frozen=True)
class Machine:
    """Speeds and sizes, as of 8 cores with a model of 8 billion parameters in 4 bits.

    prompt_per_s: tokens. step_s: of one request alone; slowdown: how much more for each further
    one. parallel: requests in the batch. cache_tokens: that it keeps.
    """

    prompt_per_s: float = 200.0
    step_s: float = 0.05
    slowdown: float = 0.25
    parallel: int = 16
    cache_tokens: int = 131_072


@dataclass(order=True)
class _Work:
    """ends_at: in tokens that every request of the batch has got."""

    ends_at: float
    number: int
    turn: Turn = field(compare=False)


class Replica:
    """What it has done at a time is settled by `advance`; between events nothing changes."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        self.held = Sketch(machine.cache_tokens)
        self.now = 0.0
        self.started: list[Turn] = []  # since somebody took them away
        self._queue: deque[Turn] = deque()
        self._prompt: Turn | None = None
        self._prompt_ends_at = 0.0
        self._answers: list[_Work] = []
        self._n_tokens = 0.0  # that each request that answers all the time has got
        self._number = 0

    @property
    def n_running(self) -> int:
        return len(self._answers) + (self._prompt is not None)

    @property
    def n_requests(self) -> int:
        return self.n_running + len(self._queue)

    @property
    def load(self) -> Load:
        machine = self.machine
        return Load(self.n_running, len(self._queue), machine.prompt_per_s, machine.step_s)

    @property
    def next_at(self) -> float:
        """When something happens there next, by itself."""
        prompt = self._prompt_ends_at if self._prompt is not None else float("inf")
        if not self._answers:
            return prompt
        left = max(self._answers[0].ends_at - self._n_tokens, 0.0)
        return min(prompt, self.now + left * self._step_s)

    def submit(self, turn: Turn, now: float) -> None:
        """A request comes. REQUIRES: `advance` was called for `now`."""
        self._queue.append(turn)
        self._start(now)

    def advance(self, now: float) -> list[Turn]:
        """Go on until `now`, which is not after `next_at`. The turns whose answers have ended."""
        if self._answers:
            self._n_tokens += (now - self.now) / self._step_s
        self.now = now
        ended = []
        while self._answers and self._answers[0].ends_at <= self._n_tokens + 1e-6:
            turn = heapq.heappop(self._answers).turn
            self.held.add(turn.next_chain)
            ended.append(turn)
        if self._prompt is not None and self._prompt_ends_at <= now + 1e-9:
            self._answer(self._prompt)
            self._prompt = None
        self._start(now)
        return ended

    def lose_all(self) -> list[Turn]:
        """The machine dies. Its requests."""
        lost = [*self._queue, *(work.turn for work in self._answers)]
        return lost if self._prompt is None else [*lost, self._prompt]

    @property
    def _step_s(self) -> float:
        machine = self.machine
        return machine.step_s * (1 + machine.slowdown * (len(self._answers) - 1))

    def _start(self, now: float) -> None:
        if self._prompt is not None or not self._queue:
            return
        if len(self._answers) >= self.machine.parallel:
            return
        turn = self._queue.popleft()
        turn.n_hit_blocks = self.held.n_held(turn.keys.chain)
        turn.first_token_at = now
        missing = (turn.keys.n_blocks - turn.n_hit_blocks) * BLOCK_TOKENS
        self._prompt = turn
        self._prompt_ends_at = now + missing / self.machine.prompt_per_s

    def _answer(self, turn: Turn) -> None:
        turn.first_token_at = self._prompt_ends_at
        self.started.append(turn)
        self.held.add(turn.keys.chain)
        self._number += 1
        ends_at = self._n_tokens + turn.n_answer_tokens
        heapq.heappush(self._answers, _Work(ends_at, self._number, turn))
