"""The figures of bench/perplexity.py, and a whole comparison on a tiny model."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.perplexity import change_percent, distance, perplexity
from tests.support.tiny.llama import write_tiny_llama

HALF = [math.log(0.5)] * 3


def run_tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.perplexity", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_perplexity_is_of_all_tokens_alike_however_long_their_pieces() -> None:
    assert perplexity([HALF, HALF]) == pytest.approx(2)
    assert perplexity([[math.log(0.5)], [math.log(0.125)] * 3]) == pytest.approx(2**2.5)


def test_a_change_that_is_the_same_in_every_piece_has_no_interval() -> None:
    worse = [[logprob - 0.01 for logprob in HALF]] * 4
    change, interval = change_percent(worse, [HALF] * 4)
    assert change == pytest.approx(100 * math.expm1(0.01))
    assert interval == pytest.approx(0, abs=1e-9)


def test_changes_in_both_directions_widen_the_interval() -> None:
    ours = [[logprob + shift for logprob in HALF] for shift in (-0.01, 0.01)]
    change, interval = change_percent(ours, [HALF] * 2)
    assert change == pytest.approx(0, abs=1e-9)
    assert interval == pytest.approx(1.96)


def test_distance_does_not_cancel_out() -> None:
    ours = [[logprob + shift for logprob in HALF] for shift in (-0.25, 0.25)]
    assert distance(ours, [HALF] * 2) == pytest.approx(0.25)


def test_both_kernels_and_the_reference_read_the_same_text(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "tiny.gguf")
    text = tmp_path / "text.txt"
    text.write_text("the cat jumped out of the window. " * 40)
    done = run_tool(model, text, "--piece", "64", "--reference", model)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    n_tokens, _, _, n_pieces, _ = head.split()
    assert int(n_pieces) >= 2
    assert int(n_tokens) % int(n_pieces) == 0
    assert [row.split()[0] for row in rows] == ["ours", "stock", "reference"]
    shown = [float(row.split()[2]) for row in rows]
    assert shown == pytest.approx([shown[0]] * 3, rel=0.01)  # the weights are not quantized


def test_text_that_is_too_short_is_said_with_numbers(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "tiny.gguf")
    text = tmp_path / "text.txt"
    text.write_text("short")
    done = run_tool(model, text)
    assert done.returncode == 1
    assert "0 pieces of 512 tokens were read, not 2" in done.stderr
