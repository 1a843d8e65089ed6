"""What is told beside an answer: progress, times, token ids, signs of life."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pyserve.schemas.common import RequestModel

MAX_PING_S = 3600


class PingFields(RequestModel):
    """sse_ping_interval: seconds of silence after which a stream says that it is there; < 1: never.

    llama-server's name.
    """

    sse_ping_interval: Annotated[int, Field(ge=-1, le=MAX_PING_S)] | None = None


class TimingFields(RequestModel):
    """timings: the answer has the times that it took; timings_per_token: each chunk has them.

    llama-server's names.
    """

    timings: bool | None = None
    timings_per_token: bool | None = None

    @property
    def wants_timings(self) -> bool:
        """Whether the answer has its times."""
        return bool(self.timings or self.timings_per_token)


class ReportFields(PingFields, TimingFields):
    """llama-server's and vLLM's names. None of them changes the answer.

    return_progress: chunks before the first token say how much of the prompt is computed.
    return_tokens, return_token_ids: choices have their tokens as `tokens`, or `token_ids`; with the
    latter those of the prompt are told as well.
    return_tokens_as_token_ids: log-probabilities name tokens by their ids.
    """

    return_progress: bool | None = None
    return_tokens: bool | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
