"""Plots of results: each figure over the load, a line for each peer."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Sequence
from typing import Any

from bench.load.catalog import WORKLOADS
from bench.rows import Row
from bench.stats import METRICS, median
from bench.tables import loads, names, peers_in_order, select

_PLOTTED = ("tok/s", "TTFT p50", "gap p99")


def draw(rows: Sequence[Row]) -> list[str]:
    """One image for each workload, as base64 of PNG; none without matplotlib."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return []
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    present = names(rows, "workload")
    return [
        _draw(pyplot, name, select(rows, workload=name)) for name in WORKLOADS if name in present
    ]


def _draw(pyplot: Any, workload: str, rows: Sequence[Row]) -> str:
    metrics = [metric for metric in METRICS if metric.name in _PLOTTED]
    figure, axes = pyplot.subplots(1, len(metrics), figsize=(13, 3.6), layout="constrained")
    for axis, metric in zip(axes, metrics, strict=True):
        for peer in peers_in_order(rows):
            points = [
                (load, value)
                for load in loads(rows)
                if (value := median(select(rows, load=load, peer=peer), metric)) is not None
            ]
            axis.plot(*zip(*points, strict=True) if points else ((), ()), marker="o", label=peer)
        axis.set_xscale("log", base=2)
        axis.set_xticks(loads(rows), [str(load) for load in loads(rows)])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("load")
        axis.set_title(metric.name if metric.is_rate else f"{metric.name} (ms)")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.suptitle(f"{workload}: {WORKLOADS[workload].what}", fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    pyplot.close(figure)
    return base64.b64encode(image.getvalue()).decode()
