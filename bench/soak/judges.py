"""What a right answer looks like. Each is a `Judge`, or makes one. Pure."""

from __future__ import annotations

import json
from typing import Any

from bench.soak.exchange import Judge


def plain(body: bytes) -> int:
    """A whole chat or completion."""
    answer = json.loads(body)
    for choice in answer["choices"]:
        if choice["finish_reason"] not in {"stop", "length"}:
            raise ValueError(f"finish_reason {choice['finish_reason']}")
    return int(answer["usage"]["completion_tokens"])


def streamed(body: bytes) -> int:
    """A stream that ends as it should, with the usage in it."""
    n_tokens = None
    events = body.decode().split("\n\n")
    if events[-2:] != ["data: [DONE]", ""]:
        raise ValueError(f"the stream ends with {events[-2:]!r}"[:300])
    for event in events[:-2]:
        if event.startswith("data: "):
            usage = json.loads(event[6:]).get("usage")
            n_tokens = usage["completion_tokens"] if usage else n_tokens
    if n_tokens is None:
        raise ValueError("a stream without usage")
    return int(n_tokens)


def vectors(n_inputs: int) -> Judge:
    """As many vectors as there were inputs."""

    def judge(body: bytes) -> int:
        n_vectors = len(json.loads(body)["data"])
        if n_vectors != n_inputs:
            raise ValueError(f"{n_vectors} vectors for {n_inputs} inputs")
        return 0

    return judge


def says(word: str) -> Judge:
    """A chat whose answer holds `word`, which no other request asks for."""

    def judge(body: bytes) -> int:
        n_tokens = plain(body)
        content = json.loads(body)["choices"][0]["message"]["content"]
        if word not in content:
            raise ValueError(f"{word} is not in {content[:100]!r}")
        return n_tokens

    return judge


def error_object(body: bytes) -> int:
    """An error in the OpenAI shape."""
    error: dict[str, Any] = json.loads(body)["error"]
    if not error["message"] or not {"type", "param", "code"} <= set(error):
        raise ValueError(f"no error object: {body[:200]!r}")
    return 0


def anything(_body: bytes) -> int:
    """Only the status counts."""
    return 0
