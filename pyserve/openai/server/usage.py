"""Responses of GET /usage, and of OpenAI's GET /organization/usage/completions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import msgspec

HOUR_S, DAY_S = 3600, 86_400
GROUPS = ("key", "model", "hour", "day")
OPENAI_GROUPS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")


class UsageRow(msgspec.Struct, frozen=True):
    """What one key used of one model in the hour that begins at `hour_s`; key "" is none."""

    hour_s: int
    key: str
    model: str
    n_requests: int
    n_prompt_tokens: int
    n_cached_tokens: int
    n_completion_tokens: int


class UsageLine(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a group. start_time: of its hour or day, seconds since 1970. key: null is none."""

    start_time: int | msgspec.UnsetType = msgspec.UNSET
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_tokens: int


class UsageReport(msgspec.Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """Answers GET /usage. from, to: whole hours, the latter not in it."""

    begin: int
    end: int
    data: list[UsageLine]
    object: Literal["usage"] = "usage"


class UsageResult(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a bucket. What the server does not know is null or 0."""

    object: Literal["organization.usage.completions.result"] = (
        "organization.usage.completions.result"
    )
    input_tokens: int
    output_tokens: int
    input_cached_tokens: int
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    num_model_requests: int
    project_id: str | None = None
    user_id: str | None = None
    api_key_id: str | None = None
    model: str | None = None
    batch: bool | None = None
    service_tier: str | None = None


class UsageBucket(msgspec.Struct, frozen=True, kw_only=True):
    """An hour or a day. Times in seconds since 1970."""

    object: Literal["bucket"] = "bucket"
    start_time: int
    end_time: int
    results: list[UsageResult]


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """Answers GET /organization/usage/completions."""

    object: Literal["page"] = "page"
    data: list[UsageBucket]
    has_more: bool = False
    next_page: str | None = None


def usage_report(
    rows: Iterable[UsageRow], begin_s: int, end_s: int, groups: Collection[str]
) -> UsageReport:
    """The sums of `rows` by `groups`, some of GROUPS; one sum of all if there are none."""
    sums: dict[tuple[Any, ...], list[int]] = {} if groups else {(0, "", ""): [0] * 4}
    for row in rows:
        width_s = HOUR_S if "hour" in groups else DAY_S
        is_timed = "hour" in groups or "day" in groups
        place = (
            row.hour_s - row.hour_s % width_s if is_timed else 0,
            row.key if "key" in groups else "",
            row.model if "model" in groups else "",
        )
        _add(sums.setdefault(place, [0] * 4), row)
    lines = [
        UsageLine(
            start_time=start if "hour" in groups or "day" in groups else msgspec.UNSET,
            key=(key or None) if "key" in groups else msgspec.UNSET,
            model=model if "model" in groups else msgspec.UNSET,
            requests=counts[0],
            prompt_tokens=counts[1],
            cached_tokens=counts[2],
            completion_tokens=counts[3],
            total_tokens=counts[1] + counts[3],
        )
        for (start, key, model), counts in sorted(sums.items())
    ]
    return UsageReport(begin_s, end_s, lines)


def usage_page(
    rows: Sequence[UsageRow], starts: range, end_s: int, groups: Collection[str]
) -> UsagePage:
    """The buckets that begin at `starts`; the next page begins where they end, before `end_s`.

    groups: some of OPENAI_GROUPS.
    """
    buckets = []
    for start in starts:
        sums: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            if start <= row.hour_s < start + starts.step:
                key = row.key if "api_key_id" in groups else ""
                model = row.model if "model" in groups else ""
                _add(sums.setdefault((key, model), [0] * 4), row)
        results = [
            UsageResult(
                input_tokens=counts[1],
                output_tokens=counts[3],
                input_cached_tokens=counts[2],
                num_model_requests=counts[0],
                api_key_id=key or None,
                model=model or None,
            )
            for (key, model), counts in sorted(sums.items())
        ]
        bucket_end = min(start + starts.step, end_s)
        buckets.append(UsageBucket(start_time=start, end_time=bucket_end, results=results))
    next_s = starts.start + len(starts) * starts.step
    has_more = next_s < end_s
    return UsagePage(data=buckets, has_more=has_more, next_page=str(next_s) if has_more else None)


def _add(counts: list[int], row: UsageRow) -> None:
    values = (row.n_requests, row.n_prompt_tokens, row.n_cached_tokens, row.n_completion_tokens)
    for place, value in enumerate(values):
        counts[place] += value
