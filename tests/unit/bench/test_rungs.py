"""Rates of micro rows beside the limits of the machine."""

from __future__ import annotations

from pathlib import Path

from bench.micro.rungs import DEPTH, Limits, last_cache_mib, parse_limits, with_rates

LIMITS = """\
read_gb_per_s - 1 20.0
read_gb_per_s - 2 30.0
int8_g_mul_per_s avx2 1 100.0
int8_g_mul_per_s avx2 2 200.0
"""
ROWS = """\

sampler (avx2)                                       us   vendored    ratio
32768 rows x 2 columns                           1000.0     2000.0     2.00

matrix q8_0 (panel)                                  us  llama.cpp    ratio
32768 rows x 1 columns                           2000.0     4000.0     2.00
32768 rows x 4 columns                           2000.0     4000.0     2.00

matrix of_the_future                                 us  llama.cpp    ratio
32768 rows x 1 columns                           2000.0     4000.0     2.00
"""


def test_limits_are_read_and_described() -> None:
    limits = parse_limits(LIMITS.splitlines())
    assert limits.read == {1: 20.0, 2: 30.0}
    assert limits.multiply == {("avx2", 1): 100.0, ("avx2", 2): 200.0}
    assert list(limits.describe()) == [
        "reads 20.0 GB/s with 1 thread",
        "reads 30.0 GB/s with 2 threads",
        "multiplies 100 G/s with 1 thread, avx2",
        "multiplies 200 G/s with 2 threads, avx2",
    ]


def test_the_last_cache_is_the_largest(tmp_path: Path) -> None:
    for index, size in enumerate(("48K", "32768K", "1024K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert last_cache_mib(tmp_path) == 32
    assert last_cache_mib(tmp_path / "none") == 0


def test_rows_of_matrices_have_rates_and_their_share() -> None:
    lines = list(with_rates(ROWS.splitlines(), parse_limits(LIMITS.splitlines()), "avx2"))
    n_weights = 32768 * 768
    gb_per_s, g_mul_per_s = n_weights * 34 / 32 / 2e6, n_weights / 2e6
    rates = lines[5].removeprefix(ROWS.splitlines()[5]).split()
    assert rates == [f"{gb_per_s:.1f}", f"{gb_per_s / 20:.0%}", f"{g_mul_per_s:.1f}", "13%"]
    assert lines[6].split()[-2:] == [f"{4 * g_mul_per_s:.1f}", "50%"]
    assert "of max" in lines[4]


def test_other_lines_stay_as_they_are() -> None:
    lines = list(with_rates(ROWS.splitlines(), Limits(), "avx2"))
    assert lines[:4] == ROWS.splitlines()[:4]
    assert lines[-1] == ROWS.splitlines()[-1]


def test_kernels_without_a_limit_have_rates_alone() -> None:
    lines = list(with_rates(ROWS.splitlines(), Limits(), "stock"))
    assert "%" not in lines[5]
    assert len(lines[5].split()) == len(ROWS.splitlines()[5].split()) + 2


def test_the_depth_is_that_of_the_matrices() -> None:
    source = Path(__file__).parents[3] / "bench" / "micro" / "mul_mat.cc"
    assert f"constexpr int kDepth = {DEPTH};" in source.read_text(encoding="utf-8")
