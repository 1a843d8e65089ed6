"""The counters of several engines as those of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pyserve.engine.model_info import DraftCount, EngineStats


def total(stats: Sequence[EngineStats]) -> EngineStats:
    """Their sum; `stalled_ms` is the longest."""
    if len(stats) == 1:
        return stats[0]
    summed: dict[str, Any] = {
        name: sum(getattr(each, name) for each in stats)
        for name in EngineStats.__struct_fields__
        if isinstance(getattr(EngineStats(), name), int | float)
    }
    return EngineStats(
        **summed
        | {
            "stalled_ms": max((each.stalled_ms for each in stats), default=0.0),
            "running_adapters": _union(each.running_adapters for each in stats),
            "waiting_adapters": _union(each.waiting_adapters for each in stats),
            "drafts": _drafts(stats),
            "gaps": _gaps(stats),
        }
    )


def _union(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for some in names for name in some}))


def _drafts(stats: Sequence[EngineStats]) -> tuple[DraftCount, ...]:
    found: dict[str, DraftCount] = {}
    for each in (draft for some in stats for draft in some.drafts):
        known = found.get(each.kind, DraftCount(each.kind, 0, 0))
        found[each.kind] = msgspec.structs.replace(
            known,
            n_tokens=known.n_tokens + each.n_tokens,
            n_accepted=known.n_accepted + each.n_accepted,
        )
    return tuple(found.values())


def _gaps(stats: Sequence[EngineStats]) -> tuple[tuple[float, int], ...]:
    counts: Counter[float] = Counter(dict(EngineStats().gaps))
    for each in stats:
        counts.update(dict(each.gaps))
    return tuple(sorted(counts.items()))
