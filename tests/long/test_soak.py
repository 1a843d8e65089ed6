"""A real server under mixed and hostile load: what does not depend on the machine's speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.soak.flood import Crowd
from bench.soak.report import checks, table
from bench.soak.run import Profile, run
from tests.support.tiny.llama import write_tiny_llama

BRIEF = Profile(
    warm_up_s=8,
    steady_s=25,
    overload_s=4,
    overload_factor=4,
    crowd=Crowd(n_silent=80, n_headers=40, n_bodies=10),
    flood_s=16,
    n_churn=150,
)


@pytest.mark.timeout(600)
def test_nothing_fails_leaks_or_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "tiny.gguf"
    write_tiny_llama(model)
    monkeypatch.chdir(tmp_path)  # for its log
    facts = run(model, BRIEF, minutes=0)
    rows = checks(facts)
    wrong = [row for row in rows if not row.is_right and not row.is_timed]
    assert not wrong, "\n".join([table(rows, is_timing_judged=False), *facts.failures])
    assert {kind for kind, _ in facts.counts} >= {"stream", "embeddings", "constrained", "hostile"}
