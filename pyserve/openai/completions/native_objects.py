"""What llama-server's own endpoints answer: a whole completion, and the parts of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Finish, GenerateRequest, TokenLogprob
from pyserve.openai.logprobs import finite
from pyserve.openai.reports import AnswerTimings, PromptProgress
from pyserve.openai.shown_sampling import ShownSampling, shown_sampling

StopType = Literal["none", "eos", "word", "limit"]
NO_SLOT = -1  # requests are not bound to slots
NO_LIMIT = -1


class NativeAlternative(msgspec.Struct, frozen=True):
    """One of the likeliest tokens."""

    id: int
    token: str
    bytes: list[int]
    logprob: float


class NativeProbability(msgspec.Struct, frozen=True):
    """A token of the answer."""

    id: int
    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[NativeAlternative]


class GenerationSettings(ShownSampling, frozen=True, kw_only=True):
    """How an answer was sampled. n_predict: most tokens, -1 = as many as fit."""

    n_predict: int
    max_tokens: int
    n_probs: int
    stream: bool
    stop: list[str]
    grammar: str


class NativePart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a streamed answer. index: of the prompt, among several."""

    index: int
    content: str
    tokens: list[int]
    stop: Literal[False] = False
    id_slot: int = NO_SLOT
    timings: AnswerTimings | UnsetType = UNSET
    prompt_progress: PromptProgress | UnsetType = UNSET
    completion_probabilities: list[NativeProbability] | UnsetType = UNSET


class NativeCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, and the last part of a streamed one, which has no text.

    tokens_evaluated: of the prompt; tokens_cached of them were not computed. stop_type: what ended
    the answer: the model (eos), one of the stop strings, which is stopping_word (word), or the
    limit of its length or time. truncated is never true: a prompt that does not fit is refused.
    """

    index: int
    content: str
    tokens: list[int]
    id_slot: int = NO_SLOT
    stop: Literal[True] = True
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    generation_settings: GenerationSettings
    prompt: str
    has_new_line: bool
    truncated: bool = False
    stop_type: StopType
    stopping_word: str
    tokens_cached: int
    timings: AnswerTimings
    completion_probabilities: list[NativeProbability] | UnsetType = UNSET


def generation_settings(request: GenerateRequest, *, stream: bool) -> GenerationSettings:
    """Those of an engine request."""
    limit = NO_LIMIT if request.max_tokens is None else request.max_tokens
    return GenerationSettings(
        **msgspec.structs.asdict(shown_sampling(request.sampling)),
        n_predict=limit,
        max_tokens=limit,
        n_probs=request.n_logprobs or 0,
        stream=stream,
        stop=request.stop,
        grammar=request.grammar,
    )


def stop_type(finish: Finish) -> StopType:
    if finish.stop_string is not None:
        return "word"
    return "limit" if finish.reason == "length" else "eos"


def native_probabilities(tokens: Sequence[TokenLogprob]) -> list[NativeProbability]:
    return [
        NativeProbability(
            *_alternative(token.token, token.piece, token.logprob),
            [NativeAlternative(*_alternative(a.token, a.piece, a.logprob)) for a in token.top],
        )
        for token in tokens
    ]


def selected(answer: NativeCompletion, paths: Sequence[str]) -> dict[str, Any]:
    """What `response_fields` asks for, each under its path; unknown ones not."""
    data, found = msgspec.to_builtins(answer), {}
    for path in paths:
        *parents, name = path.split("/")
        place = data
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict) and name in place:
            found[path] = place[name]
    return found


def _alternative(token: int, piece: bytes, logprob: float) -> tuple[int, str, list[int], float]:
    return token, piece.decode(errors="replace"), list(piece), finite(logprob)
