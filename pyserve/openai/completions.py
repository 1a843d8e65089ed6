"""Legacy completions: request to engine requests, deltas to response or chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import (
    Delta,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    TokenLogprob,
)
from pyserve.openai.answer import Output, StreamUsage, TokenUsage, new_head, token_usage
from pyserve.openai.logprobs import LegacyLogprobs, LegacyLogprobsWriter
from pyserve.openai.sampling import base_request, check_tokens, expand
from pyserve.schemas.completions import CompletionRequest

DEFAULT_MAX_TOKENS = 16


class CompletionChoice(msgspec.Struct, frozen=True):
    """One of the answers, or a chunk's part of it."""

    index: int
    text: str
    logprobs: LegacyLogprobs | None
    finish_reason: FinishReason | None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """The plain response, and each event of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: TokenUsage | UnsetType | None = UNSET


class CompletionAnswer:
    """Implements `StreamAnswer` for a completions request. Choice p*n+j is the j-th of prompt p.

    detokenize: the engine's, asked for the length of token-id prompts when offsets are wanted.
    """

    prompt_param = "prompt"

    def __init__(
        self,
        body: CompletionRequest,
        model: str,
        info: ModelInfo,
        detokenize: Callable[[list[int]], str],
    ) -> None:
        self._n = body.n or 1
        self._head = msgspec.structs.asdict(new_head("cmpl", model, info))
        self.requests = completion_requests(body, info)
        self._usage = StreamUsage(body.include_usage, len(self.requests), self._n)
        self._writers: list[LegacyLogprobsWriter] | None = None
        if body.logprobs is not None:
            texts = [p if isinstance(p, str) else detokenize(p) for p in body.prompts]
            self._writers = [LegacyLogprobsWriter(len(t)) for t in texts for _ in range(self._n)]

    def response(self, outputs: Sequence[Output]) -> Completion:
        choices = [
            CompletionChoice(
                index, output.text, self._logprobs(index, output.logprobs), output.finish.reason
            )
            for index, output in enumerate(outputs)
        ]
        usage = token_usage([output.finish for output in outputs], self._n)
        return Completion(**self._head, choices=choices, usage=usage)

    def open(self) -> list[msgspec.Struct]:
        return []

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:
        self._usage.push(index, delta)
        chunks: list[msgspec.Struct] = []
        if delta.text or delta.logprobs:
            logprobs = self._logprobs(index, delta.logprobs or [])
            chunks.append(self._chunk(CompletionChoice(index, delta.text, logprobs, None)))
        if delta.finish is not None:
            chunks.append(self._chunk(CompletionChoice(index, "", None, delta.finish.reason)))
        return chunks

    def close(self) -> list[msgspec.Struct]:
        usage = self._usage.at_end()
        return [] if usage is None else [Completion(**self._head, choices=[], usage=usage)]

    def _chunk(self, choice: CompletionChoice) -> Completion:
        return Completion(**self._head, choices=[choice], usage=self._usage.before_end)

    def _logprobs(self, index: int, tokens: Sequence[TokenLogprob]) -> LegacyLogprobs | None:
        return self._writers[index].write(tokens) if self._writers is not None else None


def completion_requests(body: CompletionRequest, info: ModelInfo) -> list[GenerateRequest]:
    """The n engine requests of each prompt, prompt by prompt.

    Raises InvalidRequestError for a token id that the model does not have.
    """
    base = base_request(
        body,
        info,
        cache_salt=body.cache_salt or "",
        max_tokens=body.max_tokens or DEFAULT_MAX_TOKENS,
        n_logprobs=body.logprobs,
    )
    requests: list[GenerateRequest] = []
    for prompt in body.prompts:
        if isinstance(prompt, str):
            request = msgspec.structs.replace(base, prompt=prompt)
        else:
            check_tokens(prompt, info, "prompt")
            request = msgspec.structs.replace(base, tokens=prompt)
        requests += expand(request, body.n or 1)
    return requests
