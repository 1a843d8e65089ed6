"""POST /v1/completions: request to engine requests, deltas to response or chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Delta, Finish, FinishReason, GenerateRequest, ModelInfo
from pyserve.errors import ContextLengthExceededError
from pyserve.models.templates.go.marked import Marked
from pyserve.openai.answer import Output, StreamUsage, TokenUsage, new_head, token_usage
from pyserve.openai.completions.best_of import best_of
from pyserve.openai.completions.choice import ChoiceWriter
from pyserve.openai.completions.logprobs import LegacyLogprobs
from pyserve.openai.configured.templated import segments_of
from pyserve.openai.logprobs import PromptLogprobs, n_ranked, prompt_logprobs, with_fewer
from pyserve.openai.reports import (
    AnswerTimings,
    PromptProgress,
    answer_timings,
    reporting,
    tells_more,
    timings_after,
    told_tokens,
)
from pyserve.openai.sampling import base_request, check_tokens, expand, scored_once
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import constraint_of, grammar_param
from pyserve.openai.structured.validation import SchemaViolation
from pyserve.schemas.completions import CompletionRequest


class CompletionChoice(msgspec.Struct, frozen=True):
    """One of the answers, or a chunk's part of it.

    stop_reason: the stop string or token that ended it. prompt_token_ids: in the first chunk.
    """

    index: int
    text: str
    logprobs: LegacyLogprobs | None = None
    finish_reason: FinishReason | None = None
    stop_reason: str | int | UnsetType | None = UNSET
    schema_violation: SchemaViolation | UnsetType = UNSET
    tokens: list[int] | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """The plain response, and each event of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: TokenUsage | UnsetType | None = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    timings: AnswerTimings | UnsetType = UNSET


class CompletionAnswer:
    """Implements `StreamAnswer` for a completions request. Choice p*n+j is the j-th of prompt p.

    With `best_of` a prompt has more requests than choices, and its best n are the choices.
    detokenize: the engine's, asked for the text of token-id prompts where it is needed.
    prompts: what the engine gets instead of the request's.
    """

    prompt_param = "prompt"

    def __init__(
        self,
        body: CompletionRequest,
        model: str,
        info: ModelInfo,
        detokenize: Callable[[list[int]], str],
        prompts: Sequence[str | list[int]] | None = None,
    ) -> None:
        self.grammar_param = grammar_param(body)
        self._constraint = constraint_of(body)
        self.unenforced = self._constraint.unenforced
        self._body = body
        self._n = body.n or 1
        self._n_candidates = body.n_candidates
        self._head = msgspec.structs.asdict(new_head("cmpl", model, info))
        self.requests = completion_requests(body, info, prompts)
        self._usage = StreamUsage(body, len(self.requests), self._n_candidates)
        self._writers = _writers(body, detokenize)
        self._texts = [""] * len(self._writers)  # of streamed answers, where they are checked
        self._held_tokens: list[list[int]] = [[] for _ in self._writers]
        self._untold = set(range(len(self._writers)))  # choices without their prompt's tokens

    def response(self, outputs: Sequence[Output]) -> Completion:
        usage = token_usage([output.finish for output in outputs], self._n_candidates)
        best = best_of(outputs, self._n_candidates, self._n)
        choices = [self._choice(index, output) for index, output in enumerate(best)]
        if self._body.prompt_logprobs is not None:
            choices = self._with_prompt_logprobs(choices, outputs)
        timings = self._timings([output.finish for output in outputs])
        return Completion(**self._head, choices=choices, usage=usage, timings=timings)

    def open(self, n_prompt_tokens: int = 0) -> list[msgspec.Struct]:
        self._usage.open(n_prompt_tokens)
        texts = [writer.open() for writer in self._writers]
        return [self._chunk(CompletionChoice(i, text)) for i, text in enumerate(texts) if text]

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:
        self._usage.push(index, delta)
        self._held_tokens[index] += delta.tokens
        writer = self._writers[index]
        if self.unenforced:
            self._texts[index] += delta.text
        choices: list[CompletionChoice] = []
        text, logprobs = writer.write(delta.text, delta.logprobs or [], delta.prompt_logprobs or [])
        if text or (logprobs is not None and logprobs.tokens):
            choices.append(CompletionChoice(index, text, logprobs))
        if delta.finish is not None:
            reasons = (delta.finish.reason, delta.finish.stop_reason)
            violation = self._violation(self._texts[index], delta.finish.reason)
            choices.append(CompletionChoice(index, writer.rest(), None, *reasons, violation))
        if choices and (told := told_tokens(self._body, self._held_tokens[index])):
            if index in self._untold:
                self._untold.remove(index)
                told |= self._prompt_tokens(index)
            choices[0] = msgspec.structs.replace(choices[0], **told)
            self._held_tokens[index] = []
        chunks = [self._chunk(choice) for choice in choices]
        usage = self._usage
        timings = timings_after(delta, self._body, usage.finishes, is_last=usage.is_complete)
        if chunks and timings is not None:
            chunks[-1] = msgspec.structs.replace(chunks[-1], timings=timings)
        return list(chunks)

    def progress(self, progress: PromptProgress) -> list[msgspec.Struct]:
        """What is said of the prompts before all output."""
        chunk = self._chunk(CompletionChoice(0, ""))
        return [msgspec.structs.replace(chunk, prompt_progress=progress)]

    def text_chunk(self, index: int, text: str) -> Completion | None:
        is_more = bool(self.unenforced or self._body.has_running_usage) or tells_more(self._body)
        if is_more or not self._writers[index].is_plain:
            return None
        return self._chunk(CompletionChoice(index, text))

    def close(self) -> list[msgspec.Struct]:
        usage = self._usage.at_end()
        if usage is None:
            return []
        timings = self._timings(self._usage.finishes)
        return [Completion(**self._head, choices=[], usage=usage, timings=timings)]

    def _timings(self, finishes: Sequence[Finish]) -> AnswerTimings | UnsetType:
        return answer_timings(finishes) if self._body.wants_timings else UNSET

    def _choice(self, index: int, output: Output) -> CompletionChoice:
        writer = self._writers[index]
        echoed = output.prompt_logprobs
        if self._body.prompt_logprobs is not None:
            echoed = with_fewer(echoed, self._body.n_echo_logprobs or 0)
        text, logprobs = writer.write(output.text, output.logprobs, echoed)
        reasons = (output.finish.reason, output.finish.stop_reason)
        violation = self._violation(output.text, output.finish.reason)
        choice = CompletionChoice(index, text + writer.rest(), logprobs, *reasons, violation)
        told = told_tokens(self._body, output.tokens) | self._prompt_tokens(index)
        return msgspec.structs.replace(choice, **told)

    def _with_prompt_logprobs(
        self, choices: list[CompletionChoice], outputs: Sequence[Output]
    ) -> list[CompletionChoice]:
        n_top = self._body.prompt_logprobs or 0
        of_prompts = [
            prompt_logprobs(output.prompt_logprobs, n_top)
            for output in outputs[:: self._n_candidates]
        ]
        return [
            msgspec.structs.replace(choice, prompt_logprobs=of_prompts[index // self._n])
            for index, choice in enumerate(choices)
        ]

    def _prompt_tokens(self, index: int) -> dict[str, list[int]]:
        """The member of a choice that is the tokens of its prompt, if it is to have one."""
        tokens = self.requests[index // self._n * self._n_candidates].tokens
        return {"prompt_token_ids": tokens} if self._body.return_token_ids and tokens else {}

    def _violation(self, text: str, reason: FinishReason) -> SchemaViolation | UnsetType:
        """Where a whole answer is not valid, if its grammar did not enforce all."""
        found = self._constraint.violation(text) if reason == "stop" else None
        return UNSET if found is None else found

    def _chunk(self, choice: CompletionChoice) -> Completion:
        return Completion(**self._head, choices=[choice], usage=self._usage.before_end())


def check_length(prompt: list[int], info: ModelInfo) -> None:
    """Raise ContextLengthExceededError for a prompt that leaves no room for an answer."""
    if len(prompt) >= info.n_ctx:
        message = f"the prompt has {len(prompt):,} tokens, the context is {info.n_ctx:,}"
        details = {"n_prompt_tokens": len(prompt), "n_ctx": info.n_ctx}
        raise ContextLengthExceededError(message, param="prompt", **details)


def _writers(body: CompletionRequest, detokenize: Callable[[list[int]], str]) -> list[ChoiceWriter]:
    """A writer for each choice."""
    if not body.echo and body.logprobs is None:
        return [ChoiceWriter("") for _ in body.prompts for _ in range(body.n or 1)]
    options = {
        "has_echo": bool(body.echo),
        "has_logprobs": body.logprobs is not None,
        "has_ids": bool(body.return_tokens_as_token_ids),
    }
    writers = []
    for prompt in body.prompts:
        is_tokens = not isinstance(prompt, str)
        text = prompt if isinstance(prompt, str) else detokenize(prompt)
        writers += [ChoiceWriter(text, is_tokens=is_tokens, **options) for _ in range(body.n or 1)]
    return writers


def _n_prompt_logprobs(body: CompletionRequest) -> int | None:
    """The alternatives that the engine is asked for, of the prompt's tokens."""
    wanted = (body.n_echo_logprobs, n_ranked(body.prompt_logprobs))
    return max((n for n in wanted if n is not None), default=None)


def completion_requests(
    body: CompletionRequest,
    info: ModelInfo,
    prompts: Sequence[str | list[int]] | None = None,
) -> list[GenerateRequest]:
    """The engine requests of each prompt, prompt by prompt: n, or best_of if that is more.

    Raises InvalidRequestError for a token id that the model does not have.
    """
    is_ranked = body.n_candidates > (body.n or 1)
    base = base_request(
        body,
        info,
        **scheduling(body),
        **reporting(body, is_streamed=bool(body.stream), has_counts=body.has_running_usage),
        grammar=constraint_of(body).grammar,
        draft=body.predicted,
        max_tokens=body.n_max_tokens,
        n_logprobs=0 if is_ranked and body.logprobs is None else body.logprobs,
        n_prompt_logprobs=_n_prompt_logprobs(body),
    )
    requests: list[GenerateRequest] = []
    for prompt in body.prompts if prompts is None else prompts:
        if isinstance(prompt, Marked):
            request = msgspec.structs.replace(base, segments=segments_of(prompt))
        elif isinstance(prompt, str):
            reads = body.parse_special is not False
            request = msgspec.structs.replace(base, prompt=prompt, parse_special=reads)
        else:
            check_tokens(prompt, info, "prompt")
            check_length(prompt, info)
            request = msgspec.structs.replace(base, tokens=prompt)
        of_prompt = expand(request, body.n_candidates)
        requests += scored_once(of_prompt) if body.n_echo_logprobs is None else of_prompt
    return requests
