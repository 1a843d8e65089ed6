"""Short ways to ask a LocalEngine for text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import (
    Delta,
    Finish,
    GenerateRequest,
    SamplingParams,
    TokenLogprob,
    TokenStream,
)

GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)


@dataclass
class Answer:
    deltas: list[Delta]

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def finish(self) -> Finish:
        finish = self.deltas[-1].finish
        assert finish is not None
        return finish

    @property
    def logprobs(self) -> list[TokenLogprob]:
        return [item for delta in self.deltas for item in delta.logprobs or []]


def assert_same_up_to_ties(expected: Answer, answer: Answer) -> None:
    """Both took the same tokens, or parted where two tokens were as good as equal.

    Kernels add in another order for other batch shapes, so a draw between two tokens may fall
    either way. Both must have been asked for with n_logprobs >= 2.
    """
    assert len(answer.logprobs) == len(expected.logprobs)
    for ours, theirs in zip(answer.logprobs, expected.logprobs, strict=True):
        if ours.token == theirs.token:
            continue
        best, second = theirs.top[:2]
        assert ours.token == second.token
        assert best.logprob - second.logprob < 0.02
        return


def submit(engine: LocalEngine, prompt: str | list[int], **fields: Any) -> TokenStream:
    fields.setdefault("sampling", GREEDY)
    fields.setdefault("max_tokens", 24)
    if isinstance(prompt, str):
        return engine.submit(GenerateRequest(prompt=prompt, **fields))
    return engine.submit(GenerateRequest(tokens=prompt, **fields))


def read(stream: TokenStream) -> Answer:
    return Answer(list(stream))


def ask(engine: LocalEngine, prompt: str | list[int], **fields: Any) -> Answer:
    return read(submit(engine, prompt, **fields))
