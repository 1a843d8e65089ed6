"""What an answer tells beside its text: times, token ids, the progress of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve.engine.protocol import Delta, Finish
from pyserve.schemas.fields.reports import ReportFields, TimingFields


class PromptProgress(msgspec.Struct, frozen=True):
    """How much of the prompts is computed, in tokens. processed has those of `cache`, too."""

    total: int
    cache: int = 0
    processed: int = 0
    time_ms: float = 0.0


class AnswerTimings(msgspec.Struct, frozen=True):
    """Counts and times, as llama-server has them. prompt_n is without the tokens of the cache.

    predicted_ms begins with the first token, so that the rates are of those after it.
    """

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float
    draft_n: int
    draft_n_accepted: int
    queue_ms: float


def answer_timings(finishes: Sequence[Finish]) -> AnswerTimings:
    """Those of all choices together: counts are sums, times those of the slowest."""
    usages = [finish.usage for finish in finishes]
    times = [finish.timings for finish in finishes]
    n_cached = sum(usage.n_cached_tokens for usage in usages)
    n_prompt = sum(usage.n_prompt_tokens for usage in usages) - n_cached
    n_predicted = sum(usage.n_completion_tokens for usage in usages)
    n_after_first = sum(max(usage.n_completion_tokens - 1, 0) for usage in usages)
    n_accepted = sum(usage.n_draft_accepted for usage in usages)
    prompt_ms = max((time.prompt_ms for time in times), default=0.0)
    predicted_ms = max((time.decode_ms for time in times), default=0.0)
    return AnswerTimings(
        cache_n=n_cached,
        prompt_n=n_prompt,
        prompt_ms=prompt_ms,
        prompt_per_token_ms=_ratio(prompt_ms, n_prompt),
        prompt_per_second=_ratio(1000 * n_prompt, prompt_ms),
        predicted_n=n_predicted,
        predicted_ms=predicted_ms,
        predicted_per_token_ms=_ratio(predicted_ms, n_after_first),
        predicted_per_second=_ratio(1000 * n_after_first, predicted_ms),
        draft_n=n_accepted + sum(usage.n_draft_rejected for usage in usages),
        draft_n_accepted=n_accepted,
        queue_ms=max((time.queue_ms for time in times), default=0.0),
    )


def _ratio(value: float, by: float) -> float:
    return value / by if by > 0 else 0.0


def reporting(
    fields: ReportFields, *, is_streamed: bool, has_counts: bool = False
) -> dict[str, Any]:
    """Fields of an engine request, from those of the body. has_counts: chunks have token counts."""
    return {
        "wants_progress": is_streamed and bool(fields.return_progress),
        "wants_timings": is_streamed and (has_counts or bool(fields.timings_per_token)),
    }


def told_tokens(fields: ReportFields, tokens: list[int]) -> dict[str, list[int]]:
    """The members of a choice that are its tokens, by their names; maybe none."""
    wanted = {"tokens": fields.return_tokens, "token_ids": fields.return_token_ids}
    return {name: tokens for name, is_wanted in wanted.items() if is_wanted}


def tells_more(fields: ReportFields) -> bool:
    """Whether chunks have more than text."""
    return bool(fields.timings_per_token or fields.return_tokens or fields.return_token_ids)


def timings_after(
    delta: Delta, fields: TimingFields, finishes: Sequence[Finish], *, is_last: bool
) -> AnswerTimings | None:
    """Those that the chunk of `delta` has. is_last: no other chunk follows; finishes: of all."""
    if is_last and fields.wants_timings:
        return answer_timings(finishes)
    told = delta.so_far or delta.finish
    return None if told is None or not fields.timings_per_token else answer_timings([told])
