"""Sums what front workers have measured, of the files that prometheus_client keeps it in.

In place of its `MultiProcessCollector`, which takes several times as long: a key of these files is
JSON, and there are hundreds of them, the same at every look.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.samples import Sample

Labels = tuple[tuple[str, str], ...]
BUCKET = "le"


class _Key(NamedTuple):
    """bound: of a bucket, None = the key is of none. group: its labels but for that.

    labels: all of them; not to be changed.
    """

    family: str
    sample: str
    labels: dict[str, str]
    about: str
    bound: float | None
    group: Labels


def summed(directory: Path) -> Iterable[Family]:
    """The counters and histograms in the files of a directory, each over all processes.

    Labels are not to be changed. REQUIRES: there are no other kinds.
    """
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for path in directory.glob("*.db"):
        kind = path.name.partition("_")[0]
        for text, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            sums[kind, text] += value
    families: dict[str, Family] = {}
    buckets: dict[tuple[str, Labels], list[tuple[float, dict[str, str], float]]] = defaultdict(list)
    for (kind, text), value in sums.items():
        key = _parsed(text)
        family = families.get(key.family)
        if family is None:
            family = families[key.family] = Family(key.family, key.about, kind)
        if key.bound is None:
            family.samples.append(Sample(key.sample, key.labels, value))
        else:
            buckets[key.family, key.group].append((key.bound, key.labels, value))
    for (name, group), counts in buckets.items():
        samples, n = families[name].samples, 0.0
        for _, labels, value in sorted(counts, key=itemgetter(0)):
            n += value
            samples.append(Sample(f"{name}_bucket", labels, n))
        samples.append(Sample(f"{name}_count", dict(group), n))
    return families.values()


@lru_cache(maxsize=8192)
def _parsed(text: str) -> _Key:
    family, sample, labels, about = json.loads(text)
    group = tuple(sorted((name, value) for name, value in labels.items() if name != BUCKET))
    bound = float(labels[BUCKET]) if BUCKET in labels else None
    return _Key(family, sample, labels, about, bound, group)
