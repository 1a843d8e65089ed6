"""From replies to figures. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.load.client import Reply


def quantiles_ms(values_s: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max of seconds, in milliseconds, by nearest rank.

    REQUIRES: at least one value.
    """
    ordered = sorted(values_s)

    def at(q: float) -> float:
        return round(1000 * ordered[max(0, math.ceil(q * len(ordered)) - 1)], 1)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}


def gaps_between(replies: Sequence[Reply], begin_s: float, end_s: float) -> list[float]:
    """The gaps between text events that overlap [begin_s, end_s)."""
    return [
        b - a
        for reply in replies
        for a, b in zip(reply.text_s, reply.text_s[1:], strict=False)
        if a < end_s and b > begin_s
    ]


def decode_rate(reply: Reply) -> float:
    """Tokens per second of one stream once it runs; 0 when it was too short to tell.

    The first event may hold more than one token, so events are counted, each worth the mean.
    """
    if len(reply.text_s) < 2:  # noqa: PLR2004  # no interval
        return 0.0
    share = (len(reply.text_s) - 1) / len(reply.text_s)
    return reply.n_tokens * share / (reply.text_s[-1] - reply.text_s[0])


def summary(replies: Sequence[Reply], wall_s: float) -> dict[str, object]:
    """Totals of one run; failed requests are counted and left out of the times.

    n_short: good replies with fewer tokens than were asked for, which makes a server look faster.
    """
    good = [reply for reply in replies if not reply.error]
    errors = [reply.error for reply in replies if reply.error]
    out: dict[str, object] = {"n": len(replies), "n_errors": len(errors)}
    if errors:
        out["error"] = errors[0][:300]
    if good:
        out |= _totals(good, wall_s) | _times(good)
    return out


def _totals(good: Sequence[Reply], wall_s: float) -> dict[str, object]:
    n_tokens = sum(reply.n_tokens for reply in good)
    return {
        "n_short": sum(reply.n_tokens < reply.n_wanted for reply in good),
        "prompt_tokens": sum(reply.n_prompt for reply in good),
        "cached_tokens": sum(reply.n_cached for reply in good),
        "output_tokens": n_tokens,
        "wall_s": round(wall_s, 3),
        "tokens_per_s": round(n_tokens / wall_s, 2),
    }


def _times(good: Sequence[Reply]) -> dict[str, object]:
    gaps_s = [gap for reply in good for gap in reply.gaps_s]
    latency = quantiles_ms([reply.end_s - reply.start_s for reply in good])
    return {
        "decode_tokens_per_s": round(statistics.median(decode_rate(reply) for reply in good), 2),
        "ttft_ms": quantiles_ms([reply.ttft_s for reply in good]),
        "gap_ms": quantiles_ms(gaps_s) if gaps_s else {},
        "latency_ms": latency,
    }
