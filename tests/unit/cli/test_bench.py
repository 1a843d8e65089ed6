"""The figures of a load."""

from __future__ import annotations

import pytest

from pyserve.cli.bench import Times, quantile, row_of


def test_the_figures_of_two_streams() -> None:
    one = Times(0.0, [0.5, 0.6, 0.7], n_prompt=100)
    two = Times(0.1, [1.1, 1.2, 1.5], n_prompt=100)
    row = row_of(2, [one, two])
    assert row.output_rate == pytest.approx(6 / 1.5)
    assert row.prompt_rate == pytest.approx(100 / 0.75)
    assert (row.first_p50, row.first_p95) == (pytest.approx(1000), pytest.approx(1000))
    assert (row.gap_p50, row.gap_p99) == (pytest.approx(100), pytest.approx(300))


def test_quantiles_of_few_values() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 0.99, 1)] == [1, 3, 4, 4]
