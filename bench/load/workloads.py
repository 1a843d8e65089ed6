"""What clients ask: made-up prose, the same for the same seed, different for every request."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field

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
WORDS_PER_TOKEN = 1.0  # of both gallery models on these words; `calibrate` measures it


@dataclass(frozen=True)
class Text:
    """Makes text of a wanted length; the server's usage says what it came to."""

    words_per_token: float = WORDS_PER_TOKEN

    def prose(self, n_tokens: int, seed: int) -> str:
        """Text of about `n_tokens` tokens."""
        rng = random.Random(seed)
        return " ".join(rng.choice(WORDS) for _ in range(int(n_tokens * self.words_per_token)))


@dataclass(frozen=True)
class Request:
    """Messages to send, and how many tokens to ask for.

    extra: more fields of the body. may_end: before max_tokens. prompt: of a text completion,
    "" = the messages one after the other.
    """

    messages: list[dict[str, str]]
    max_tokens: int
    extra: dict[str, object] = field(default_factory=dict)
    may_end: bool = False
    prompt: str = ""

    def body(self, *, is_plain: bool) -> dict[str, object]:
        """Greedy, and not ended by the model, so that every server does the same work.

        is_plain: of a text completion.
        """
        common = {"model": "any", "max_tokens": self.max_tokens, "temperature": 0, **self.extra}
        common |= {} if self.may_end else {"ignore_eos": True}
        if is_plain:
            joined = "".join(message["content"] + "\n\n" for message in self.messages)
            return {**common, "prompt": self.prompt or joined}
        return {**common, "messages": self.messages}


def distinct(text: Text, n: int, *, n_prompt: int, max_tokens: int, seed: int) -> list[Request]:
    """Unrelated requests."""
    return [
        Request([{"role": "user", "content": text.prose(n_prompt, seed + i)}], max_tokens)
        for i in range(n)
    ]


def shared(text: Text, n: int, *, n_system: int, max_tokens: int, seed: int) -> list[Request]:
    """Requests with one long system prompt and a short question each."""
    system = {"role": "system", "content": text.prose(n_system, seed)}
    return [
        Request([system, {"role": "user", "content": text.prose(30, seed + 1 + i)}], max_tokens)
        for i in range(n)
    ]


def chat_turns(
    text: Text, n_turns: int, *, n_prompt: int, max_tokens: int, seed: int
) -> Generator[Request, str, None]:
    """One conversation; send the answer of each turn back: `turn = chat.send(answer)`."""
    messages: list[dict[str, str]] = []
    for turn in range(n_turns):
        messages.append({"role": "user", "content": text.prose(n_prompt, seed + turn)})
        answer = yield Request(list(messages), max_tokens)
        messages.append({"role": "assistant", "content": answer or "Yes."})
