"""From what was seen to a table of what was expected, seen, and right. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.soak.flood import Flood
from bench.soak.monitor import Process, Sample
from bench.soak.phases import Overload, Storm

SLOPE_FROM_S = 600.0  # memory is watched from this minute on
MAX_SLOPE_MIB_PER_MIN = 0.2
MAX_GROWTH_MIB = 64.0  # of runs that are too short for a slope: allocators fill at first
MIN_SLOPE_S = 1200.0
MAX_LOG_BYTES = 1000.0
MAX_REFUSAL_MS = 100.0
MIN_GOODPUT = 0.9
MAX_RECOVERY_S = 10.0
MAX_IDLE_S = 1.0
MAX_LAST_S = 5.0
MAX_HEALTH_MS = 250.0
SPARE = 2  # descriptors or threads that a process may have more at the end


@dataclass
class Facts:
    """Everything that was seen.

    baseline, end: the processes at rest, after the warm-up and at the end.
    counts: exchanges by kind and outcome. exit_code: after SIGTERM, None = it did not end.
    """

    baseline: list[Process]
    end: list[Process]
    samples: list[Sample]
    counts: Counter[tuple[str, str]]
    failures: list[str]
    overloads: list[Overload] = field(default_factory=list)
    storms: list[Storm] = field(default_factory=list)
    floods: list[Flood] = field(default_factory=list)
    churn_idle_s: list[float] = field(default_factory=list)
    n_busy_at_end: float = 0.0
    log_bytes: int = 0
    exit_code: int | None = None


@dataclass(frozen=True)
class Check:
    """One line of the table. is_timed: it depends on how fast the machine is."""

    what: str
    expected: str
    seen: str
    is_right: bool
    is_timed: bool = False


def checks(facts: Facts) -> list[Check]:
    """The whole table."""
    return [
        *_survival(facts),
        *_resources(facts),
        *(check for overload in facts.overloads for check in _overload(overload)),
        *_goodput(facts.overloads),
        *(check for storm in facts.storms for check in _storm(storm)),
        *(check for flood in facts.floods for check in _flood(flood)),
        *(
            _at_most("churn: until nothing is in work", MAX_IDLE_S, idle_s, "s")
            for idle_s in facts.churn_idle_s
        ),
    ]


def table(rows: Iterable[Check], *, is_timing_judged: bool) -> str:
    """Markdown. Timed checks that are not judged show what was seen, and no verdict."""
    lines = ["| what | expected | seen | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = "pass" if row.is_right else "FAIL"
        if row.is_timed and not is_timing_judged:
            verdict = "not judged"
        lines.append(f"| {row.what} | {row.expected} | {row.seen} | {verdict} |")
    return "\n".join(lines)


def slope_per_min(points: Sequence[tuple[float, float]]) -> float:
    """The median slope between all pairs of (seconds, value), per minute; 0 without a pair."""
    slopes = [60 * (b - a) / (t - s) for n, (s, a) in enumerate(points) for t, b in points[n + 1 :]]
    return statistics.median(slopes) if slopes else 0.0


def _survival(facts: Facts) -> list[Check]:
    known = {process.pid for process in facts.baseline}
    others = {
        (process.pid, process.role)
        for sample in facts.samples
        for process in sample.processes
        if process.pid not in known
    }
    n_unhealthy = sum(sample.health_ms is None for sample in facts.samples)
    failed = {kind: n for (kind, outcome), n in facts.counts.items() if outcome == "failed"}
    n_failed = sum(failed.values())
    seen = f"{n_failed} of {facts.counts.total()}"
    if failed:
        seen += " (" + ", ".join(f"{kind} {n}" for kind, n in sorted(failed.items())) + ")"
    return [
        Check("processes that were replaced", "0", str(len(others)), not others),
        Check("failed requests", "0", seen, n_failed == 0),
        Check("/health failed", "0", f"{n_unhealthy} of {len(facts.samples)}", n_unhealthy == 0),
        Check("in work at the end", "0", f"{facts.n_busy_at_end:g}", facts.n_busy_at_end == 0),
        Check("exit code after SIGTERM", "0", str(facts.exit_code), facts.exit_code == 0),
    ]


def _resources(facts: Facts) -> list[Check]:
    log_bytes = round(facts.log_bytes / max(facts.counts.total(), 1))
    rows = [_memory(facts)]
    for name in ("n_fds", "n_threads"):
        before = {process.pid: getattr(process, name) for process in facts.baseline}
        extra = {
            process.role: getattr(process, name) - before.get(process.pid, 0)
            for process in facts.end
        }
        what = "descriptors" if name == "n_fds" else "threads"
        seen = ", ".join(f"{role} {n:+d}" for role, n in extra.items())
        is_right = all(n <= SPARE for n in extra.values())
        rows.append(Check(f"{what} more than at rest before", f"<= {SPARE}", seen, is_right))
    rows.append(
        Check("log bytes per request", "<= 1000", str(log_bytes), log_bytes <= MAX_LOG_BYTES)
    )
    return rows


def _memory(facts: Facts) -> Check:
    late = [sample for sample in facts.samples if sample.at_s >= SLOPE_FROM_S]
    if late and late[-1].at_s - late[0].at_s >= MIN_SLOPE_S:
        slope = slope_per_min([(sample.at_s, sample.mib) for sample in late])
        return Check(
            "memory slope after minute 10",
            f"<= {MAX_SLOPE_MIB_PER_MIN:g} MiB/min",
            f"{slope:+.3f} MiB/min; {late[0].mib:.0f} to {late[-1].mib:.0f} MiB",
            slope <= MAX_SLOPE_MIB_PER_MIN,
        )
    before, after = (sum(p.pss_kib for p in ps) / 1024 for ps in (facts.baseline, facts.end))
    return Check(
        "memory more than at rest before",
        f"<= {MAX_GROWTH_MIB:g} MiB",
        f"{after - before:+.1f} MiB of {before:.0f}",
        after - before <= MAX_GROWTH_MIB,
    )


def _overload(seen: Overload) -> list[Check]:
    answers = f"{seen.n_done} done, {seen.n_refused} refused, {seen.n_odd} else"
    p99_ms = seen.refusal_ms.get("p99", 0.0)
    return [
        Check("overload: neither answered nor refused", "0", answers, seen.n_odd == 0),
        _at_most("overload: p99 of refusals", MAX_REFUSAL_MS, p99_ms, "ms"),
        _at_most("overload: latency is normal again", MAX_RECOVERY_S, seen.recovery_s, "s"),
    ]


def _goodput(seen: Sequence[Overload]) -> list[Check]:
    """The median of the rounds: the machine's own speed changes from one phase to the next."""
    shares = [one.goodput_tokens_per_s / max(one.peak_tokens_per_s, 0.1) for one in seen]
    if not shares:
        return []
    median = statistics.median(shares)
    peak = statistics.median(one.peak_tokens_per_s for one in seen)
    return [
        Check(
            "overload: goodput against peak, median of rounds",
            f">= {MIN_GOODPUT:.0%}",
            f"{median:.0%} ({min(shares):.0%} to {max(shares):.0%}) of {peak:g} tokens/s",
            median >= MIN_GOODPUT,
            is_timed=True,
        )
    ]


def _storm(seen: Storm) -> list[Check]:
    return [
        _at_most("storm: until nothing is in work", MAX_IDLE_S, seen.idle_s, "s"),
        _at_most("storm: the request after it", MAX_LAST_S, seen.last_s, "s"),
    ]


def _flood(seen: Flood) -> list[Check]:
    return [
        Check("flood: normal requests that failed", "0", str(seen.n_failed), seen.n_failed == 0),
        Check("flood: slow clients past their deadline", "0", str(seen.n_kept), seen.n_kept == 0),
        _at_most("flood: p99 of /health", MAX_HEALTH_MS, seen.health_ms["p99"], "ms"),
    ]


def _at_most(what: str, most: float, seen: float, unit: str) -> Check:
    """A check of a time."""
    return Check(what, f"<= {most:g} {unit}", f"{seen:g} {unit}", seen <= most, is_timed=True)
