"""The traffic of a soak: what many different clients ask, at random but the same for a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.load.workloads import Text
from bench.soak import hostile, judges
from bench.soak.exchange import Judge, Shot, http_request

N_TENANTS = 12
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
CHAT_OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"temperature": 0},
    {"temperature": 1.2, "top_k": 20, "min_p": 0.05},
    {"seed": 11, "top_p": 0.8, "frequency_penalty": 0.5},
    {"n": 2},
    {"stop": ["river", "zzz"]},
    {"logprobs": True, "top_logprobs": 3},
    {"priority": 5},
    {"deterministic": True, "seed": 3},
    {"cache_salt": "a"},
]


class Mix:
    """Makes requests: 70 % chats, half of them streamed; 10 % embeddings and completions; 10 %
    whose clients go away; 5 % hostile ones; 5 % with constraints. One thread.
    """

    def __init__(self, text: Text, seed: int) -> None:
        self._text = text
        self._rng = random.Random(seed)
        self._hostile = hostile.shots()
        self._n_made = 0

    def all_hostile(self) -> list[Shot]:
        """Every hostile request once."""
        return self._hostile

    def next(self) -> Shot:
        """The next request of the mix."""
        make: list[Callable[[], Shot]] = [
            self.stream,
            self.chat,
            self.embeddings,
            self.completion,
            self.leaver,
            self.hostile,
            self.constrained,
        ]
        return self._rng.choices(make, [35, 35, 5, 5, 10, 5, 5])[0]()

    def stream(self) -> Shot:
        return _post("stream", hostile.CHAT, self._chat_body() | STREAM, judges.streamed)

    def chat(self) -> Shot:
        return _post("chat", hostile.CHAT, self._chat_body(), judges.plain)

    def embeddings(self) -> Shot:
        n_inputs = self._rng.randint(1, 4)
        body = {"input": [self._prose(60) for _ in range(n_inputs)]}
        return _post("embeddings", "/v1/embeddings", body, judges.vectors(n_inputs))

    def completion(self) -> Shot:
        body = {"prompt": self._prose(80), "max_tokens": self._rng.randint(1, 32)}
        return _post("completion", hostile.COMPLETIONS, body, judges.plain)

    def leaver(self) -> Shot:
        """A client that goes away: while it sends, while it waits, or while it reads."""
        shot = replace(self._rng.choice([self.stream, self.chat])(), kind="leaver")
        match self._rng.randrange(3):
            case 0:
                return replace(shot, n_sent=self._rng.randrange(len(shot.data)))
            case 1:
                return replace(shot, leave_s=self._rng.uniform(0.001, 2))
            case _:
                return replace(shot, leave_bytes=self._rng.randrange(4000))

    def hostile(self) -> Shot:
        return self._rng.choice(self._hostile)

    def constrained(self) -> Shot:
        """An answer that has to hold a word of its own, which shows a mix-up of answers."""
        self._n_made += 1
        word = f"w{self._n_made}x{self._rng.randrange(10**6)}"
        schema = {"type": "object", "properties": {"word": {"const": word}}, "required": ["word"]}
        constraint: dict[str, Any] = self._rng.choice(
            [
                {"choice": [word]},
                {"grammar": f'root ::= "{word}" [a-z]*'},
                {"regex": f"{word}-[0-9]{{3}}"},
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "x", "schema": schema},
                    }
                },
            ]
        )
        body = self._chat_body() | {"max_tokens": 64, "n": 1, "stop": None} | constraint
        return _post("constrained", hostile.CHAT, body, judges.says(word))

    def equal(self, max_tokens: int = 16) -> Shot:
        """A chat that costs the same whenever it is asked for, and finds no prefix."""
        messages = [{"role": "user", "content": self._text.prose(20, self._rng.randrange(10**9))}]
        body = {"messages": messages, "max_tokens": max_tokens, "ignore_eos": True} | STREAM
        return _post("equal", hostile.CHAT, body, judges.streamed)

    def _chat_body(self) -> dict[str, Any]:
        tenant = self._rng.randrange(N_TENANTS)
        messages = [{"role": "user", "content": self._prose(150)}]
        if tenant % 2:
            messages.insert(0, {"role": "system", "content": self._text.prose(40 * tenant, tenant)})
        options = self._rng.choice(CHAT_OPTIONS)
        return {"messages": messages, "max_tokens": self._rng.randint(4, 48), **options}

    def _prose(self, n_most: int) -> str:
        return self._text.prose(self._rng.randint(2, n_most), self._rng.randrange(10**9)) or "x"


def _post(kind: str, path: str, body: dict[str, Any], judge: Judge) -> Shot:
    return Shot(kind, http_request("POST", path, json.dumps(body).encode()), judge)
