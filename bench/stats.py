"""Medians over rounds, and ratios between peers that were measured in the same rounds. Pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.rows import Row

N_RESAMPLES = 2000
MIN_ROUNDS = 2  # below it there is no interval


@dataclass(frozen=True)
class Metric:
    """A figure of a row, by its path. is_rate: more is better."""

    name: str
    path: tuple[str, ...]
    is_rate: bool = False

    def of(self, row: Row) -> float | None:
        """None when the row has no such figure."""
        value: object = row
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return float(value) if isinstance(value, int | float) else None


METRICS = (
    Metric("tok/s", ("tokens_per_s",), is_rate=True),
    Metric("decode tok/s", ("decode_tokens_per_s",), is_rate=True),
    Metric("TTFT p50", ("ttft_ms", "p50")),
    Metric("TTFT p95", ("ttft_ms", "p95")),
    Metric("later TTFT p50", ("later_ttft_ms", "p50")),
    Metric("late TTFT", ("late_ttft_ms",)),
    Metric("gap p50", ("gap_ms", "p50")),
    Metric("gap p95", ("gap_ms", "p95")),
    Metric("gap p99", ("gap_ms", "p99")),
    Metric("arrival gap p99", ("arrival_gap_ms", "p99")),
    Metric("latency p50", ("latency_ms", "p50")),
    Metric("latency p95", ("latency_ms", "p95")),
    Metric("peak MiB", ("peak_rss_mib",)),
    Metric("CPU s", ("server_cpu_s",)),
    Metric("start s", ("start_s",)),
)


@dataclass(frozen=True)
class Ratio:
    """How many times better than the reference; low and high bound 95 %, None with one round."""

    value: float
    low: float | None
    high: float | None


def by_round(rows: Sequence[Row], metric: Metric) -> dict[tuple[str, int], float]:
    """The figure of each round, by run and number, that has one."""
    found = {(row["run"], row["round"]): metric.of(row) for row in rows}
    return {key: value for key, value in found.items() if value is not None}


def median(rows: Sequence[Row], metric: Metric) -> float | None:
    """Over rounds; None when no round has the figure."""
    values = by_round(rows, metric).values()
    return statistics.median(values) if values else None


def ratio(ours: Sequence[Row], theirs: Sequence[Row], metric: Metric) -> Ratio | None:
    """The median over rounds of ours against theirs, above 1 = ours is better.

    Rounds are compared pairwise, since the machine drifts between them. The interval is a
    bootstrap over rounds; with few rounds it is hardly more than their range.
    """
    a, b = by_round(ours, metric), by_round(theirs, metric)
    pairs = [(a[n], b[n]) if metric.is_rate else (b[n], a[n]) for n in sorted(a.keys() & b.keys())]
    ratios = [above / below for above, below in pairs if below > 0]
    if not ratios:
        return None
    if len(ratios) < MIN_ROUNDS:
        return Ratio(ratios[0], None, None)
    return Ratio(statistics.median(ratios), *bootstrap_interval(ratios))


def bootstrap_interval(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """The middle 95 % of the medians of resamples; the same for the same seed."""
    rng = random.Random(seed)
    medians = sorted(
        statistics.median(rng.choices(values, k=len(values))) for _ in range(N_RESAMPLES)
    )
    return medians[int(0.025 * N_RESAMPLES)], medians[int(0.975 * N_RESAMPLES) - 1]


def best(candidates: Sequence[Sequence[Row]], metric: Metric) -> Sequence[Row] | None:
    """The candidate with the best median: the flags that suit this figure best."""
    measured = [(value, rows) for rows in candidates if (value := median(rows, metric)) is not None]
    if not measured:
        return None
    choose = max if metric.is_rate else min
    return choose(measured, key=lambda pair: pair[0])[1]
