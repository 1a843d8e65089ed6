"""POST /completion, llama-server's own: request to engine requests, deltas to answer or parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, ModelInfo, TokenLogprob
from pyserve.openai.answer import Output
from pyserve.openai.completions.completions import completion_requests
from pyserve.openai.completions.native_objects import (
    NativeCompletion,
    NativePart,
    generation_settings,
    native_probabilities,
    selected,
    stop_type,
)
from pyserve.openai.reports import PromptProgress, answer_timings
from pyserve.openai.structured.constraint import constraint_of, grammar_param
from pyserve.schemas.native import NativeRequest


class NativeAnswer:
    """Implements `StreamAnswer`. Of several prompts the answer is a list, in their order.

    detokenize: the engine's, asked for the text of prompts of tokens. prompts: what the engine gets
    instead of the request's; prompt_param: the field that errors about them name.
    """

    def __init__(
        self,
        body: NativeRequest,
        model: str,
        info: ModelInfo,
        detokenize: Callable[[list[int]], str],
        prompts: Sequence[list[int]] | None = None,
        prompt_param: str = "prompt",
    ) -> None:
        self.prompt_param = prompt_param
        self.grammar_param = grammar_param(body)
        self.unenforced = constraint_of(body).unenforced
        self.requests = completion_requests(body, info, prompts)
        self._body = body
        self._model = model
        self._has_probabilities = bool(body.logprobs)
        self._prompts = [_text_of(request, detokenize) for request in self.requests]
        self._has_new_line = [False] * len(self.requests)
        self._tokens: list[list[int]] = [[] for _ in self.requests]
        self._logprobs: list[list[TokenLogprob]] = [[] for _ in self.requests]

    def response(self, outputs: Sequence[Output]) -> Any:
        answers = [self._answer(index, output) for index, output in enumerate(outputs)]
        return answers[0] if len(answers) == 1 else answers

    def open(self, n_prompt_tokens: int = 0) -> list[Any]:  # noqa: ARG002
        return []

    def push(self, index: int, delta: Delta) -> list[Any]:
        self._has_new_line[index] |= "\n" in delta.text
        self._tokens[index] += delta.tokens
        self._logprobs[index] += delta.logprobs or []
        parts: list[Any] = []
        if delta.text or (delta.finish is not None and self._tokens[index]):
            parts.append(self._part(index, delta))
        if delta.finish is not None:
            parts.append(self._shown(self._whole(index, delta.finish)))
        return parts

    def progress(self, progress: PromptProgress) -> list[Any]:
        """What is said of the prompts before all output."""
        return [NativePart(index=0, content="", tokens=[], prompt_progress=progress)]

    def text_chunk(self, index: int, text: str) -> None:
        """None: parts have the ids of their tokens."""

    def close(self) -> list[Any]:
        return []

    def _part(self, index: int, delta: Delta) -> NativePart:
        """All that has come of request `index` since the last part."""
        so_far = (delta.so_far or delta.finish) if self._body.timings_per_token else None
        tokens, self._tokens[index] = self._tokens[index], []
        logprobs, self._logprobs[index] = self._logprobs[index], []
        probabilities = native_probabilities(logprobs) if self._has_probabilities else UNSET
        return NativePart(
            index=index,
            content=delta.text,
            tokens=tokens,
            timings=UNSET if so_far is None else answer_timings([so_far]),
            completion_probabilities=probabilities,
        )

    def _answer(self, index: int, output: Output) -> Any:
        wants_tokens = bool(self._body.return_tokens)
        tokens = [token for delta in output.deltas for token in delta.tokens]
        more: dict[str, Any] = {}
        if self._has_probabilities:
            more["completion_probabilities"] = native_probabilities(output.logprobs)
        self._has_new_line[index] = "\n" in output.text
        whole = self._whole(
            index,
            output.finish,
            content=output.text,
            tokens=tokens if wants_tokens else [],
            **more,
        )
        return self._shown(whole)

    def _whole(self, index: int, finish: Finish, **shown: Any) -> NativeCompletion:
        request, usage = self.requests[index], finish.usage
        return NativeCompletion(
            **{"content": "", "tokens": [], **shown},
            index=index,
            model=self._model,
            tokens_predicted=usage.n_completion_tokens,
            tokens_evaluated=usage.n_prompt_tokens,
            generation_settings=generation_settings(request, stream=bool(self._body.stream)),
            prompt=self._prompts[index],
            has_new_line=self._has_new_line[index],
            stop_type=stop_type(finish),
            stopping_word=finish.stop_string or "",
            tokens_cached=usage.n_cached_tokens,
            timings=answer_timings([finish]),
        )

    def _shown(self, answer: NativeCompletion) -> Any:
        fields = self._body.response_fields
        return selected(answer, fields) if fields else answer


def _text_of(request: GenerateRequest, detokenize: Callable[[list[int]], str]) -> str:
    """The text of an engine request's prompt."""
    if request.tokens is not None:
        return detokenize(request.tokens)
    if request.segments is not None:
        return "".join(segment.text for segment in request.segments)
    return request.prompt or ""
