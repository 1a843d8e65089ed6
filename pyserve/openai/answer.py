"""Parts common to all answers: head, collected output, token usage.

Pure: knows neither HTTP nor threads. The web room runs the `requests` of an `Answer` and hands it
what they produce, all at once (`response`) or as it comes (`StreamAnswer`).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, ModelInfo, TokenLogprob, Usage
from pyserve.openai.ids import fingerprint, new_id
from pyserve.schemas.fields.sampling import StreamFields

NOTHING_YET = Finish(reason="length", usage=Usage(n_prompt_tokens=0, n_completion_tokens=0))


class Head(msgspec.Struct, frozen=True):
    """Fields that the response and all its chunks repeat. created: Unix seconds."""

    id: str
    created: int
    model: str
    system_fingerprint: str


def new_head(prefix: str, model: str, info: ModelInfo) -> Head:
    return Head(new_id(prefix), int(time.time()), model, fingerprint(info))


class Answer(Protocol):
    """One HTTP request to be answered by `requests`, whose order is the order of the choices.

    prompt_param, grammar_param: the fields with the prompt and the constraint, for errors about
    them.
    """

    prompt_param: str
    grammar_param: str
    requests: list[GenerateRequest]

    def response(self, outputs: Sequence[Output]) -> Any:
        """The whole answer, which becomes JSON; one output per request, all finished."""
        ...


class StreamAnswer(Answer, Protocol):
    """An answer that can also be given in chunks."""

    def open(self, n_prompt_tokens: int = 0) -> Sequence[Any]:
        """The chunks that precede all output. n_prompt_tokens: of the prompts of all requests."""
        ...

    def push(self, index: int, delta: Delta) -> Sequence[Any]:
        """The chunks for a delta of request `index`; maybe none."""
        ...

    def text_chunk(self, index: int, text: str) -> msgspec.Struct | None:
        """The chunk of a delta that is `text` alone, if it does not depend on deltas before it.

        None if it depends on them: such deltas are then pushed. Constant for one answer.
        """
        ...

    def close(self) -> Sequence[Any]:
        """The chunks that follow all output, once every request is finished."""
        ...


class TypedStreamAnswer(StreamAnswer, Protocol):
    """A streamed answer whose chunks are events: each has its `type`."""

    def fail(self, error: Mapping[str, Any]) -> list[msgspec.Struct]:
        """The events that end a failed stream. error: the OpenAI error object."""
        ...


class Output:
    """The output of one request so far."""

    def __init__(self) -> None:
        self.logprobs: list[TokenLogprob] = []
        self.prompt_logprobs: list[TokenLogprob] = []
        self.embedding = b""
        self.deltas: list[Delta] = []
        self._finish: Finish | None = None

    def push(self, delta: Delta) -> None:
        self.deltas.append(delta)
        self.logprobs += delta.logprobs or []
        self.prompt_logprobs += delta.prompt_logprobs or []
        self.embedding = delta.embedding or self.embedding
        self._finish = delta.finish or self._finish

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)

    @property
    def tokens(self) -> list[int]:
        return [token for delta in self.deltas for token in delta.tokens]

    @property
    def finish(self) -> Finish:
        """The end of the output. REQUIRES: the last delta was pushed."""
        assert self._finish is not None
        return self._finish


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """Details on the prompt tokens."""

    cached_tokens: int
    audio_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """Details on the completion tokens."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class TokenUsage(msgspec.Struct, frozen=True):
    """Token counts of a whole answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails = CompletionTokensDetails()


A = TypeVar("A")
# Makes an answer that needs the outputs of other requests first: yields these, one by one.
Steps = Generator[GenerateRequest, Output, A]


def token_usage(
    finishes: Sequence[Finish], n: int, n_reasoning: int = 0, before: Sequence[Finish] = ()
) -> TokenUsage:
    """Sum up; of each run of `n` finishes (choices of one prompt) the prompt counts once.

    n_reasoning: tokens of reasoning in all answers. before: of the requests that these needed.
    """
    prompts = [finish.usage for finish in (*before, *finishes[::n])]
    finishes = [*before, *finishes]
    n_prompt = sum(usage.n_prompt_tokens for usage in prompts)
    n_completion = sum(finish.usage.n_completion_tokens for finish in finishes)
    return TokenUsage(
        prompt_tokens=n_prompt,
        completion_tokens=n_completion,
        total_tokens=n_prompt + n_completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(usage.n_cached_tokens for usage in prompts)
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=n_reasoning,
            accepted_prediction_tokens=sum(finish.usage.n_draft_accepted for finish in finishes),
            rejected_prediction_tokens=sum(finish.usage.n_draft_rejected for finish in finishes),
        ),
    )


class StreamUsage:
    """The usage field of streamed chunks.

    It is absent, or null until the last chunk has the counts, or those up to each chunk.
    fields: of the request; n: requests of a prompt; before: the ends of those that they needed.
    """

    def __init__(
        self, fields: StreamFields, n_requests: int, n: int, before: Sequence[Finish] = ()
    ) -> None:
        self._include = fields.include_usage
        self._is_running = fields.has_running_usage
        self._n = n
        self._before = before
        self._finishes: list[Finish | None] = [None] * n_requests
        self._so_far = [NOTHING_YET] * n_requests
        self._n_prompt = sum(finish.usage.n_prompt_tokens for finish in before)

    def open(self, n_prompt_tokens: int) -> None:
        """n_prompt_tokens: of the prompts of all requests, which tell their own one by one."""
        self._n_prompt += n_prompt_tokens // self._n

    def push(self, index: int, delta: Delta) -> None:
        self._so_far[index] = delta.finish or delta.so_far or self._so_far[index]
        if delta.finish is not None:
            self._finishes[index] = delta.finish

    def before_end(self, n_reasoning: int = 0) -> TokenUsage | UnsetType | None:
        """That of a chunk which is not the last. n_reasoning: up to there."""
        if not self._include:
            return UNSET
        if not self._is_running:
            return None
        usage = token_usage(self._so_far, self._n, n_reasoning, self._before)
        n_prompt = max(usage.prompt_tokens, self._n_prompt)
        total = n_prompt + usage.completion_tokens
        return msgspec.structs.replace(usage, prompt_tokens=n_prompt, total_tokens=total)

    @property
    def is_complete(self) -> bool:
        """Whether every request is finished, and no chunk follows for the counts."""
        return not self._include and None not in self._finishes

    @property
    def finishes(self) -> list[Finish]:
        """Those that there are."""
        return [finish for finish in self._finishes if finish is not None]

    def at_end(self, n_reasoning: int = 0) -> TokenUsage | None:
        """The counts for a last chunk, or None if there is no such chunk."""
        if not self._include:
            return None
        return token_usage(self.finishes, self._n, n_reasoning, self._before)
