"""The table of what a batch costs those who wait."""

from __future__ import annotations

from bench.beside_batch import TIMES, table


def test_medians_are_set_beside_each_other() -> None:
    alone = {what: [0.1, 0.2, 0.3] for what in TIMES}
    beside = {what: [0.2, 0.3, 0.9] for what in TIMES}
    assert table(alone, beside)[2:] == [
        f"| {what} | 200, 300 | 300, 900 | 1.50 | 3 |" for what in TIMES
    ]
