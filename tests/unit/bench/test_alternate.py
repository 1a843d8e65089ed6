"""What bursts in turns come to, and what they are asked of."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.alternate import describe, figures_of, parse_checkout, ratios, rows_of
from bench.peers.peer import PeerError, Settings

FIRST = [{"tokens/s": rate, "first token": 100.0} for rate in (20.0, 30.0, 40.0)]
OTHER = [{"tokens/s": 10.0, "first token": wait} for wait in (100.0, 150.0, 300.0)]


def test_a_ratio_above_one_is_the_first_ones_advantage() -> None:
    assert ratios(FIRST, OTHER) == {"tokens/s": [2.0, 3.0, 4.0], "first token": [1.0, 1.5, 3.0]}


def test_the_first_one_stands_beside_nobody() -> None:
    first, other = rows_of({"a": FIRST, "b": OTHER})
    assert first == {
        "peer": "a",
        "bursts": 3,
        "medians": {"tokens/s": 30.0, "first token": 100.0},
    }
    assert (other["ratio_of"], other["medians"]["first token"]) == ("a", 150.0)
    assert "a against it: tokens/s 3.00 (2.00-4.00)" in describe(
        {**other, "workload": "distinct", "load": 1}
    )


def test_a_failed_request_is_no_figure() -> None:
    with pytest.raises(PeerError, match="1 of 8 requests failed: no text"):
        figures_of({"n": 8, "n_errors": 1, "error": "no text"})


def test_one_event_has_no_gaps() -> None:
    row = {"n_errors": 0, "tokens_per_s": 5.0, "ttft_ms": {"p50": 3.0}, "gap_ms": {}}
    assert figures_of(row) == {"tokens/s": 5.0, "first token": 3.0}


def test_a_checkout_is_served_by_its_own_program(tmp_path: Path) -> None:
    program = tmp_path / ".venv" / "bin" / "pyserve"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    peer = parse_checkout(f"earlier={tmp_path}")
    assert peer.name == "pyserve-earlier"
    assert peer.command(Settings(Path("m.gguf"), 1, 2, 1, 8, 8)).argv[0] == str(program)
    with pytest.raises(PeerError, match="NAME=DIRECTORY"):
        parse_checkout(f"later={tmp_path / 'nothing'}")
