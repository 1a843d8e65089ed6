"""What clients ask: made-up prose, the same for the same seed, different for every request."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass

WORDS = [
    "river",
    "stone",
    "morning",
    "window",
    "garden",
    "letter",
    "winter",
    "copper",
    "market",
    "forest",
    "lantern",
    "bridge",
    "silver",
    "village",
    "harbor",
    "candle",
    "thunder",
    "meadow",
    "orchard",
    "traveler",
    "island",
    "engine",
    "pocket",
    "mirror",
    "shadow",
    "feather",
    "ribbon",
    "kettle",
    "compass",
    "marble",
    "velvet",
    "canyon",
    "whistle",
    "saddle",
    "anchor",
    "blossom",
]
WORDS_PER_TOKEN = 0.72  # of the default model on these words


def prose(n_tokens: int, seed: int) -> str:
    """Text of about `n_tokens` tokens."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(int(n_tokens * WORDS_PER_TOKEN)))


@dataclass(frozen=True)
class Request:
    """Messages to send, and how many tokens to ask for."""

    messages: list[dict[str, str]]
    max_tokens: int

    def body(self) -> dict[str, object]:
        return {
            "model": "any",
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }


def distinct(n: int, *, n_prompt: int = 200, max_tokens: int = 64, seed: int = 0) -> list[Request]:
    """Unrelated requests."""
    return [
        Request([{"role": "user", "content": prose(n_prompt, seed + i)}], max_tokens)
        for i in range(n)
    ]


def shared(n: int, *, n_system: int = 600, max_tokens: int = 64, seed: int = 0) -> list[Request]:
    """Requests with one long system prompt and a short question each."""
    system = {"role": "system", "content": prose(n_system, seed)}
    return [
        Request([system, {"role": "user", "content": prose(30, seed + 1 + i)}], max_tokens)
        for i in range(n)
    ]


def chat_turns(n_turns: int, *, seed: int, max_tokens: int = 48) -> Generator[Request, str, None]:
    """One conversation; send the answer of each turn back: `turn = chat.send(text)`."""
    messages: list[dict[str, str]] = []
    for turn in range(n_turns):
        messages.append({"role": "user", "content": prose(60, seed * 1000 + turn)})
        answer = yield Request(list(messages), max_tokens)
        messages.append({"role": "assistant", "content": answer or "Yes."})
