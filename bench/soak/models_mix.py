"""The traffic of a soak of many models: at random, but the same for a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from bench.load.workloads import Text
from bench.soak import judges
from bench.soak.exchange import Judge, Shot, http_request
from bench.soak.models_dir import MODELS, NAMES

TEXT = Text()
CHAT = "/v1/chat/completions"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
WRONG = ("gpt5", "gemma2", "Assistant", "rwkv:latest", "../rwkv", "RWKV-77-tiny")


class ModelsMix:
    """Makes requests to the models of `models_dir`. One thread."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def next(self) -> Shot:
        """The next request of the mix."""
        makers: list[tuple[int, Callable[[], Shot]]] = [
            (30, self.chat),
            (30, self.stream),
            (10, self.completion),
            (8, self.edit),
            (5, self.embeddings),
            (4, self.elsewhere_named),
            (3, self.short_lived),
            (3, self.with_adapter),
            (4, self.wrong_name),
            (2, self.listing),
            (2, self.load),
            (1, self.unload),
            (1, self.reload),
        ]
        weights, makes = zip(*makers, strict=True)
        make: Callable[[], Shot] = self._rng.choices(makes, weights)[0]
        return make()

    def chat(self) -> Shot:
        model, name = self._model()
        return _post("chat", CHAT, {"model": name, **self._talk()}, _answer_of(model))

    def stream(self) -> Shot:
        _, name = self._model()
        return _post("stream", CHAT, {"model": name, **self._talk(), **STREAM}, judges.streamed)

    def completion(self) -> Shot:
        model, name = self._model()
        body = {"model": name, "prompt": self._prose(60), "max_tokens": self._rng.randint(1, 16)}
        return _post("completion", "/v1/completions", body, _answer_of(model))

    def edit(self) -> Shot:
        _, name = self._model()
        body = {"model": name, "input": self._prose(20), "instruction": "Make it shorter."}
        return _post("edit", "/v1/edits", {**body, "max_tokens": 12}, judges.anything)

    def embeddings(self) -> Shot:
        _, name = self._model()
        body = {"model": name, "input": [self._prose(20), self._prose(20)]}
        return _post("embeddings", "/v1/embeddings", body, judges.vectors(2))

    def elsewhere_named(self) -> Shot:
        """A model that the token or the query names, not the body."""
        model, name = self._model()
        body = json.dumps(self._talk()).encode()
        if "/" not in name and self._rng.random() < 0.5:  # noqa: PLR2004
            data = http_request("POST", f"{CHAT}?model={name}", body)
            return Shot("named by query", data, _answer_of(model))
        more = f"Authorization: Bearer {model}\r\n"
        return Shot("named by token", http_request("POST", CHAT, body, more), _answer_of(model))

    def short_lived(self) -> Shot:
        """A model that is not to stay after the request."""
        model, name = self._model()
        body = {"model": name, **self._talk(), "keep_alive": self._rng.choice([0, "1s", "5m"])}
        return _post("keep_alive", CHAT, body, _answer_of(model))

    def with_adapter(self) -> Shot:
        lora = [{"name": "pirate", "scale": self._rng.choice([0, 0.5, 1])}]
        body = {"model": "assistant", **self._talk(), "lora": lora}
        return _post("with an adapter", CHAT, body, _answer_of("assistant"))

    def wrong_name(self) -> Shot:
        body = json.dumps({"model": self._rng.choice(WRONG), **self._talk()}).encode()
        data = http_request("POST", CHAT, body)
        return Shot("wrong name", data, judges.error_object, frozenset({404}))

    def listing(self) -> Shot:
        return Shot("listing", http_request("GET", "/v1/models"), _lists_all)

    def load(self) -> Shot:
        return self._action("load")

    def unload(self) -> Shot:
        return self._action("unload")

    def reload(self) -> Shot:
        return Shot("reload", http_request("POST", "/models/reload"), _lists_all)

    def _action(self, verb: str) -> Shot:
        name = self._rng.choice(NAMES[self._rng.choice(MODELS)])
        return _post(verb, f"/models/{verb}", {"model": name}, judges.anything)

    def _model(self) -> tuple[str, str]:
        """A model, and one of its names."""
        model = self._rng.choice(sorted(NAMES))
        return model, self._rng.choice(NAMES[model])

    def _talk(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self._prose(80)}]
        if self._rng.random() < 0.5:  # noqa: PLR2004
            messages.insert(0, {"role": "system", "content": TEXT.prose(40, seed=1)})
        return {"messages": messages, "max_tokens": self._rng.randint(2, 24)}

    def _prose(self, n_most: int) -> str:
        return TEXT.prose(self._rng.randint(2, n_most), self._rng.randrange(10**9))


def _post(kind: str, path: str, body: dict[str, Any], judge: Judge) -> Shot:
    return Shot(kind, http_request("POST", path, json.dumps(body).encode()), judge)


def _answer_of(model: str) -> Judge:
    """A whole answer, by the model that was meant."""

    def judge(body: bytes) -> int:
        n_tokens = judges.plain(body)
        answered = json.loads(body)["model"]
        if answered != model:
            raise ValueError(f"{answered} answered, not {model}")
        return n_tokens

    return judge


def _lists_all(body: bytes) -> int:
    ids = {model["id"] for model in json.loads(body)["data"]}
    if ids != set(NAMES):
        raise ValueError(f"the models are {sorted(ids)}")
    return 0
