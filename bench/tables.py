"""From rows to tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load.catalog import WORKLOADS
from bench.rows import Row
from bench.stats import METRICS, Metric, Ratio, best, median, ratio

REFERENCE = "llama-server"
DISTURBED_CORES = 0.15
_NOT_COMPARED = ("gap p50", "gap p95", "latency p50", "CPU s", "start s")
RATIO_METRICS = tuple(metric for metric in METRICS if metric.name not in _NOT_COMPARED)


@dataclass(frozen=True)
class Table:
    """A heading, the names of the columns and their cells, as text."""

    title: str
    columns: list[str]
    lines: list[list[str]]


def select(rows: Sequence[Row], **values: object) -> list[Row]:
    return [row for row in rows if all(row.get(key) == value for key, value in values.items())]


def names(rows: Sequence[Row], key: str) -> list[str]:
    """The values of a key, each once, in order of appearance."""
    return list(dict.fromkeys(row[key] for row in rows))


def loads(rows: Sequence[Row]) -> list[int]:
    return sorted({row["load"] for row in rows})


def peers_in_order(rows: Sequence[Row]) -> list[str]:
    """Sorted; ours first, the reference next."""

    def rank(name: str) -> tuple[int, str]:
        return (0 if name.startswith("pyserve") else 1 if name.startswith(REFERENCE) else 2), name

    return sorted(names(rows, "peer"), key=rank)


def figure_tables(rows: Sequence[Row]) -> list[Table]:
    """For each workload the medians over rounds, a line for each load and peer."""
    return [_figures(name, select(rows, workload=name)) for name in _workloads(rows)]


def reference_of(rows: Sequence[Row]) -> str:
    """What ratios are against unless it is named: llama-server, else the first that is not ours."""
    others = [name for name in peers_in_order(rows) if not name.startswith("pyserve")]
    return REFERENCE if any(name.startswith(REFERENCE) for name in others) else "".join(others[:1])


def ratio_tables(rows: Sequence[Row], reference: str = REFERENCE) -> list[Table]:
    """For each workload how many times better than the reference each other peer is.

    The reference of a figure is its best variant for that figure: peers whose names begin so.
    """
    tables = (_ratios(name, select(rows, workload=name), reference) for name in _workloads(rows))
    return [table for table in tables if table.lines]


def _workloads(rows: Sequence[Row]) -> list[str]:
    present = names(rows, "workload")
    return [name for name in WORKLOADS if name in present]


def _figures(workload: str, rows: Sequence[Row]) -> Table:
    shown = [metric for metric in METRICS if median(rows, metric) is not None]
    lines = []
    for load, peer, own in _groups(rows):
        n_rounds = str(sum("tokens_per_s" in row for row in own))
        cells = [_number(median(own, metric)) for metric in shown]
        lines.append([str(load), peer, *cells, n_rounds, _notes(own)])
    columns = ["load", "peer", *(metric.name for metric in shown), "n", "notes"]
    return Table(f"{workload}: {WORKLOADS[workload].what}", columns, lines)


def _groups(rows: Sequence[Row]) -> list[tuple[int, str, list[Row]]]:
    """Load, peer and their rows, in the order of the tables."""
    return [
        (load, peer, own)
        for load in loads(rows)
        for peer in peers_in_order(rows)
        if (own := select(rows, load=load, peer=peer))
    ]


def _ratios(workload: str, rows: Sequence[Row], reference: str) -> Table:
    shown = [metric for metric in RATIO_METRICS if median(rows, metric) is not None]
    lines = []
    for load, peer, own in _groups(rows):
        found = [against_reference(rows, load, own, metric, reference) for metric in shown]
        if any(found) and not peer.startswith(reference):
            lines.append([str(load), peer, *map(_ratio_text, found)])
    return Table(workload, ["load", "peer", *(metric.name for metric in shown)], lines)


def against_reference(
    rows: Sequence[Row], load: int, own: Sequence[Row], metric: Metric, reference: str
) -> Ratio | None:
    """One peer's ratio in one cell of a workload's rows; None without a reference."""
    variants = [name for name in peers_in_order(rows) if name.startswith(reference)]
    theirs = best([select(rows, load=load, peer=name) for name in variants], metric)
    return ratio(own, theirs, metric) if theirs else None


def _notes(rows: Sequence[Row]) -> str:
    """What makes the figures of these rows doubtful."""
    disturbed = sum(
        row.get("other_cores", 0) + row.get("steal_cores", 0) > DISTURBED_CORES for row in rows
    )
    counts = {
        "failed": sum("tokens_per_s" not in row for row in rows),
        "requests with errors": sum(row.get("n_errors", 0) for row in rows),
        "short answers": sum(row.get("n_short", 0) for row in rows),
        "disturbed": disturbed,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"  # noqa: PLR2004


def _ratio_text(found: Ratio | None) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
