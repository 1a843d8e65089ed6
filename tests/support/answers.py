"""Engine output by hand, and what answers make of it as parsed JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.model import fake_info
from pyserve.engine.protocol import Delta, Finish, FinishReason, TokenLogprob, TopLogprob, Usage
from pyserve.openai.answer import Output, StreamAnswer

INFO = fake_info(EngineConfig(model_id="m", model_path=""), has_chat_template=True)


def last(
    n_prompt: int = 5,
    n_completion: int = 2,
    n_cached: int = 0,
    reason: FinishReason = "stop",
    **fields: Any,
) -> Delta:
    usage = Usage(
        n_prompt_tokens=n_prompt, n_completion_tokens=n_completion, n_cached_tokens=n_cached
    )
    return Delta(finish=Finish(reason=reason, usage=usage), **fields)


def output(*deltas: Delta) -> Output:
    collected = Output()
    for delta in deltas:
        collected.push(delta)
    return collected


def as_json(struct: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(struct))


def token(piece: bytes, logprob: float = -1.0, *top: TopLogprob) -> TokenLogprob:
    return TokenLogprob(token=1, piece=piece, logprob=logprob, top=list(top))


def chunks_of(answer: StreamAnswer, deltas: list[tuple[int, Delta]]) -> list[Any]:
    """All chunks of a streamed answer."""
    chunks = answer.open()
    for index, delta in deltas:
        chunks += answer.push(index, delta)
    return as_json(chunks + answer.close())
