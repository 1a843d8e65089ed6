"""Events that an engine sends for a request: accepted, deltas with their finish, failed."""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve.errors import ErrorInfo

FinishReason = Literal["stop", "length"]


class TopLogprob(msgspec.Struct, frozen=True, array_like=True):
    """One alternative token. `piece` is the token's bytes, maybe a part of a UTF-8 character."""

    token: int
    piece: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """The sampled token, and the best alternatives in descending order (maybe itself included)."""

    token: int
    piece: bytes
    logprob: float
    top: list[TopLogprob]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts. n_cached_tokens of the prompt were not computed again.

    n_draft_accepted tokens of the answer came from the draft; n_draft_rejected were wrong.
    """

    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int = 0
    n_draft_accepted: int = 0
    n_draft_rejected: int = 0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """The time that one request spent queued, on its prompt, and decoding."""

    queue_ms: float = 0.0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a request that was not cancelled and did not fail.

    stop_string, stop_token: the one that ended it.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings = Timings()
    stop_string: str | None = None
    stop_token: int | None = None

    @property
    def stop_reason(self) -> str | int | None:
        """What stopped the answer, as vLLM says it; None: nothing did."""
        return self.stop_string if self.stop_token is None else self.stop_token


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """The output of one step: text (valid UTF-8, never part of a stop string), maybe the finish.

    `logprobs` belong to the tokens whose text ends in `text`. The last delta has `finish` set.
    `prompt_logprobs` come in order, in chunks, before all text; nothing precedes the first token of
    a prompt, so its log-probability is 0 and it has no alternatives.
    `logits` are whole rows of little-endian float32, one for each token of the vocabulary, as the
    model gives them; they come in order before all text, where they were asked for.
    `so_far` is what `finish` would say now, where it was asked for.
    `embedding` is a vector of length 1 as little-endian float32, where one was asked for, or the
    numbers of a ranking head.
    """

    text: str = ""
    n_tokens: int = 0
    tokens: list[int] = []
    logprobs: list[TokenLogprob] | None = None
    prompt_logprobs: list[TokenLogprob] | None = None
    embedding: bytes | None = None
    logits: bytes | None = None
    so_far: Finish | None = None
    finish: Finish | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """The prompt was rendered, tokenized and fits. First event of a request that is not refused."""

    request_id: int
    n_prompt_tokens: int


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """Where a request is that has no answer yet. Comes about once a second; often where asked for.

    position: 1 is the next to start of the n_waiting that wait, 0: it has started. eta_ms: until
    then, or until its prompt is computed; < 0: not known. n_computed_tokens are with the cached
    ones. prompt_ms: since it started.
    """

    request_id: int
    position: int = 0
    n_waiting: int = 0
    eta_ms: float = -1.0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    n_computed_tokens: int = 0
    prompt_ms: float = 0.0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """New output of a request. The one whose delta has `finish` is the request's last event."""

    request_id: int
    delta: Delta


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The request failed or was cancelled (code `cancelled`). Its last event."""

    request_id: int
    error: ErrorInfo


Event = Accepted | Progress | Step | Failed
