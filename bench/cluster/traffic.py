"""Chats of simulated users: turns whose prompts begin with all that was said before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyserve.engine.prefixes.keys import BLOCK_BYTES, BLOCK_TOKENS, MAX_BLOCKS, PrefixKeys


@dataclass
class Turn:
    """A request, and what became of it. next_chain: its prompt and answer, as the next has them."""

    chat: Chat
    keys: PrefixKeys
    n_answer_tokens: int
    next_chain: tuple[int, ...]
    number: int = 0
    asked_at: float = 0.0
    first_token_at: float = 0.0
    n_hit_blocks: int = 0
    replica: str = ""
    front: int = 0


@dataclass(frozen=True)
class Habits:
    """Sizes in blocks of 64 tokens, with the means of exponential distributions."""

    n_turns: int = 6
    system_blocks: int = 8
    n_systems: int = 4
    question_blocks: float = 3.0
    answer_tokens: float = 150.0
    think_s: float = 10.0


@dataclass
class Chat:
    """One user's conversation, from first to last turn."""

    habits: Habits
    chance: random.Random
    anchor: int = 0
    n_left: int = 0
    _said: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        system = self.chance.randrange(max(self.habits.n_systems, 1))
        self.n_left = self.habits.n_turns
        self.anchor = self.chance.getrandbits(64)
        self._said = tuple(_blocks(random.Random(system), self.habits.system_blocks))

    def turn(self, now: float) -> Turn:
        """The next question, asked now."""
        habits, chance = self.habits, self.chance
        prompt = (*self._said, *_blocks(chance, 1 + int(_about(chance, habits.question_blocks))))
        n_tokens = 16 + int(_about(chance, habits.answer_tokens))
        self._said = (*prompt, *_blocks(chance, n_tokens // BLOCK_TOKENS))
        self.n_left -= 1
        keys = PrefixKeys(self.anchor, prompt[:MAX_BLOCKS], len(prompt) * BLOCK_BYTES)
        return Turn(self, keys, n_tokens, self._said[:MAX_BLOCKS], asked_at=now)

    def pause_s(self) -> float:
        """Until the next question."""
        return _about(self.chance, self.habits.think_s)


def _about(chance: random.Random, mean: float) -> float:
    return chance.expovariate(1 / mean) if mean else 0.0


def _blocks(chance: random.Random, n: int) -> Iterator[int]:
    return (chance.getrandbits(64) for _ in range(n))
