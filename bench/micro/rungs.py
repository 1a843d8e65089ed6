"""Micro rows with every set of kernels that the machine has, beside what the machine could do.

    python -m bench.micro.rungs FOLDER [PART ...]     FOLDER has the two programs, built

Measures the limits first: reading memory with one thread and with all, and multiplications of bytes
with the instructions of each set. Then runs pyserve_bench_micro, with the best kernels all of it
(or the parts that are named), with the others the matrices. Rows of matrices get the weights they
read in GB/s and G multiplications/s, both with the share of the limit of one thread. Weights that
fit into the last cache may be read faster than memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.random_model.mixtures import KINDS
from pyserve.gguf.tensor_types import n_tensor_bytes
from tools.each_kernels import usable_kernels

DEPTH: Final = 768  # kDepth of mul_mat.cc
MATRICES: Final = "mul_mat"
WITHOUT_LIMIT: Final = "stock"  # the vendored kernels choose their instructions themselves
_HEADING: Final = re.compile(r"matrix (?P<type>\S+)")
_ROW: Final = re.compile(r"(?P<rows>\d+) rows x (?P<columns>\d+) columns +(?P<us>[\d.]+) ")
_COLUMNS: Final = f" {'GB/s':>8} {'of max':>6} {'G mul/s':>8} {'of max':>6}"
_BY_LOWER: Final = {name.lower(): kind for name, kind in KINDS.items()}


@dataclass
class Limits:
    """By number of threads: what is read, in GB/s; by kernels and threads: G multiplications/s."""

    read: dict[int, float] = field(default_factory=dict)
    multiply: dict[tuple[str, int], float] = field(default_factory=dict)

    def describe(self) -> Iterator[str]:
        """Lines for people."""
        for threads, figure in self.read.items():
            yield f"reads {figure:.1f} GB/s with {_threads(threads)}"
        for (kernels, threads), figure in self.multiply.items():
            yield f"multiplies {figure:.0f} G/s with {_threads(threads)}, {kernels}"


def last_cache_mib(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> float:
    """The size of the largest cache; 0 when the system does not say."""
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    return max((int(size.removesuffix("K")) / 1024 for size in sizes), default=0.0)


def _threads(n: int) -> str:
    return f"{n} thread" + "s" * (n > 1)


def parse_limits(lines: Iterable[str]) -> Limits:
    """From what pyserve_bench_limits prints."""
    limits = Limits()
    for line in lines:
        name, kernels, threads, figure = line.split()
        if name == "read_gb_per_s":
            limits.read[int(threads)] = float(figure)
        else:
            limits.multiply[kernels, int(threads)] = float(figure)
    return limits


def with_rates(lines: Iterable[str], limits: Limits, kernels: str) -> Iterator[str]:
    """The lines of pyserve_bench_micro; those of matrices have rates at their end."""
    kind: int | None = None
    for line in lines:
        row = _ROW.match(line)
        if row and kind is not None:
            yield line + rates(kind, row.groupdict(), limits, kernels)
            continue
        heading = _HEADING.match(line)
        if line and not row:
            kind = _BY_LOWER.get(heading["type"].lower()) if heading else None
        yield line + _COLUMNS if heading else line


def rates(kind: int, row: Mapping[str, str], limits: Limits, kernels: str) -> str:
    """What a row's time comes to, as more columns of it."""
    n_weights, us = int(row["rows"]) * DEPTH, float(row["us"])
    gb_per_s = n_tensor_bytes(kind, n_weights) / us / 1e3
    g_mul_per_s = n_weights * int(row["columns"]) / us / 1e3
    read, multiply = limits.read.get(1), limits.multiply.get((kernels, 1))
    return f" {gb_per_s:8.1f} {_share(gb_per_s, read)} {g_mul_per_s:8.1f} " + _share(
        g_mul_per_s, multiply
    )


def _share(figure: float, limit: float | None) -> str:
    return f"{figure / limit:6.0%}" if limit else f"{'':6}"


def run_micro(program: Path, parts: Sequence[str], kernels: str, limits: Limits) -> int:
    """Run it with these kernels and print what it prints, as it comes; its exit code."""
    print(f"\nkernels: {kernels}", flush=True)
    environ = os.environ | {"PYSERVE_KERNELS": kernels}
    command = ["stdbuf", "-oL", str(program), *parts]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in with_rates((each.rstrip("\n") for each in process.stdout), limits, kernels):
            print(line, flush=True)
    return process.returncode


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    folder, parts = Path(argv[0]), argv[1:]
    measured = subprocess.run(
        [folder / "pyserve_bench_limits"], check=True, stdout=subprocess.PIPE, text=True
    )
    limits = parse_limits(measured.stdout.splitlines())
    cache = f"has a last cache of {last_cache_mib():.0f} MiB"
    print("this machine", *limits.describe(), cache, sep="\n  ", flush=True)
    best, *others = usable_kernels(below=False)
    codes = [run_micro(folder / "pyserve_bench_micro", parts, best, limits)]
    if not parts or MATRICES in parts:
        codes += [
            run_micro(folder / "pyserve_bench_micro", [MATRICES], kernels, limits)
            for kernels in others
            if kernels != WITHOUT_LIMIT
        ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
