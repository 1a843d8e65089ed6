"""Measures servers that run side by side and answer the same bursts of requests in turns.

    python -m bench.alternate --model llama3.2-1b:Q4_K_M --peers pyserve llama-server --loads 1 8
    python -m bench.alternate --checkout earlier=../earlier --workloads decode --bursts 40

A machine whose speed changes from minute to minute makes rows of `bench.compare` differ for the
same server. Here a burst, one request of every client, goes to each server within seconds, and
what counts is the ratio of the two: its median and quartiles over all bursts. All servers hold
their memory at the same time; only one works. A ratio above 1 says that the first one is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.compare import has_template, say
from bench.load.catalog import WORKLOADS, Job
from bench.load.client import Target
from bench.load.run import measure
from bench.load.workloads import Text
from bench.measure import Subject, calibrate, settings_for
from bench.models import resolve
from bench.peers.peer import Peer, PeerError
from bench.peers.pyserve import Pyserve
from bench.peers.registry import choose, install
from bench.peers.server import running
from bench.plan import SEED_STEP, Cell, make_cells
from bench.rows import Row, append, machine_facts

# What a burst is judged by, and whether more of it is better.
FIGURES = {"tokens/s": True, "first token": False, "gap p50": False, "gap p99": False}
MIN_BURSTS = 2  # for quartiles

Figures = Mapping[str, float]


def figures_of(row: Row) -> Figures:
    """The judged figures of one burst; times in ms. Raises PeerError when a request failed."""
    if row["n_errors"]:
        raise PeerError(f"{row['n_errors']} of {row['n']} requests failed: {row['error']}")
    return {
        "tokens/s": row["tokens_per_s"],
        "first token": row["ttft_ms"]["p50"],
        **{f"gap {name}": row["gap_ms"][name] for name in ("p50", "p99") if row["gap_ms"]},
    }


def ratios(first: Sequence[Figures], other: Sequence[Figures]) -> dict[str, list[float]]:
    """The quartiles, by figure, of how much better the first one was in each burst.

    REQUIRES: at least two bursts, in the same order in both.
    """
    found = {}
    for name, is_rate in FIGURES.items():
        if name in first[0]:
            pairs = [(one[name], two[name]) for one, two in zip(first, other, strict=True)]
            each = [a / b if is_rate else b / a for a, b in pairs]
            found[name] = [round(value, 3) for value in statistics.quantiles(each, n=4)]
    return found


def measure_cell(
    peers: Sequence[Peer], cell: Cell, subject: Subject, n_bursts: int
) -> dict[str, list[Figures]]:
    """The figures of each burst by the peer's name. Raises PeerError."""
    seen: dict[str, list[Figures]] = {peer.name: [] for peer in peers}
    with contextlib.ExitStack() as stack:
        urls = {
            peer.name: stack.enter_context(running(peer, settings_for(cell, subject))).url
            for peer in peers
        }
        for number in range(-1, n_bursts):  # the first one warms up
            order = list(urls) if number % 2 else list(reversed(urls))
            for name in order:
                target = Target(urls[name], is_plain=subject.is_plain)
                text = Text(subject.words_per_token)
                seed = SEED_STEP * (number + 2)
                job = Job(target, text, cell.load, cell.load, seed)
                figures = figures_of(asyncio.run(measure(cell.workload, job)))
                if number >= 0:
                    seen[name].append(figures)
    return seen


def rows_of(seen: Mapping[str, list[Figures]]) -> Iterator[Row]:
    """A row per peer: medians of its bursts, and the ratios of the first peer to it."""
    first = next(iter(seen))
    for name, bursts in seen.items():
        medians = {
            key: round(statistics.median(burst[key] for burst in bursts), 2) for key in bursts[0]
        }
        row: Row = {"peer": name, "bursts": len(bursts), "medians": medians}
        yield (
            row
            if name == first
            else {**row, "ratio_of": first, "ratio": ratios(seen[first], bursts)}
        )


def measured(peers: Sequence[Peer], cell: Cell, subject: Subject, n_bursts: int) -> Iterator[Row]:
    """The rows of a cell. Raises PeerError."""
    asked = dataclasses.replace(subject, is_plain=not has_template(subject.model))
    words = calibrate(peers[0], cell, asked)
    exact = dataclasses.replace(asked, words_per_token=words)
    for row in rows_of(measure_cell(peers, cell, exact, n_bursts)):
        yield {**dataclasses.asdict(cell), **row}


def describe(row: Row) -> str:
    """One line for people: tokens/s and ms, then the first peer's advantage (quartiles)."""
    medians = "  ".join(f"{key} {value:g}" for key, value in row["medians"].items())
    head = f"{row['workload']}/{row['load']:<3} {row['peer']:<20} {medians}"
    if "ratio" not in row:
        return head
    better = "  ".join(
        f"{key} {middle:.2f} ({low:.2f}-{high:.2f})"
        for key, (low, middle, high) in row["ratio"].items()
    )
    return f"{head}\n    {row['ratio_of']} against it: {better}"


def parse_checkout(text: str) -> Pyserve:
    """`NAME=DIRECTORY`: pyserve as installed in another checkout's .venv. Raises PeerError."""
    name, _, directory = text.partition("=")
    program = Path(directory, ".venv", "bin", "pyserve").absolute()
    if not (name and directory) or not os.access(program, os.X_OK):
        raise PeerError(f"a checkout is NAME=DIRECTORY with .venv/bin/pyserve, not {text!r}")
    return Pyserve(f"pyserve-{name}", program=program)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["default"], help="as in bench.compare")
    parser.add_argument("--peers", nargs="+", default=["pyserve"], metavar="PEER")
    parser.add_argument("--variant", action="append", default=[], help="as in bench.compare")
    parser.add_argument("--checkout", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--workloads", nargs="+", default=["distinct"], choices=list(WORKLOADS))
    parser.add_argument("--loads", nargs="+", type=int, default=[1, 8])
    parser.add_argument(
        "--bursts", type=int, default=12, help=f"for each server, at least {MIN_BURSTS}"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--parallel", type=int, default=16, help="most requests decoded at once")
    parser.add_argument("--out", type=Path, help="append rows here, too")
    args = parser.parse_args(argv)
    if args.bursts < MIN_BURSTS:
        parser.error(f"--bursts must be at least {MIN_BURSTS}, not {args.bursts}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        peers, missing = install(
            [*choose(args.peers, args.variant), *map(parse_checkout, args.checkout)]
        )
        models = resolve(args.model)
    except (PeerError, LookupError, ValueError) as error:
        say(f"error: {error}")
        return 1
    for why in missing:
        say(why)
    head = {"run": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), **machine_facts()}
    cells = make_cells(args.workloads, args.loads, args.parallel, is_quick=True)
    n_failed = len(missing)
    for model, cell in itertools.product(models, cells):
        what = {**head, "model": model.path.name, "threads": args.threads}
        try:
            for row in measured(peers, cell, Subject(model.path, args.threads), args.bursts):
                say(describe({**what, **row}))
                if args.out:
                    append(args.out, {**what, **row})
        except (PeerError, OSError, ValueError, subprocess.SubprocessError) as error:
            say(f"{model.path.name} {cell.workload}/{cell.load}: {error}")
            n_failed += 1
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
