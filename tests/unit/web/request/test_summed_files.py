"""What workers measured is read, and written, as prometheus_client does it."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from pyserve.openai.server.metrics import Metric, text
from pyserve.web.request.measures import DIRECTORY_ENV, Measures
from pyserve.web.request.summed_files import summed


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """The files of two workers that have measured the same."""
    monkeypatch.setenv(DIRECTORY_ENV, str(tmp_path))
    measures = Measures()
    work = SimpleNamespace(
        finish="stop", queue_ms=3, n_prompt_tokens=700, n_completion_tokens=9, first_token_ms=30.5
    )
    for endpoint in ("chat", "completions"):
        measures.end(SimpleNamespace(model_id='a "b" \\', work=work), endpoint, 200, 0.75)
    measures.end(SimpleNamespace(model_id="none", work=None), "chat", 503, 0.1)
    for status in (200, 200, 503):
        measures.count(status)
    for path in list(tmp_path.glob("*.db")):
        shutil.copy(path, tmp_path / f"{path.name.partition('_')[0]}_1.db")
    yield tmp_path
    monkeypatch.delenv(DIRECTORY_ENV)
    values.ValueClass = values.get_value_class()


def known(families):
    return {
        family.name: (
            family.type,
            family.documentation,
            {(each.name, *sorted(each.labels.items())): each.value for each in family.samples},
        )
        for family in families
    }


def test_counters_and_histograms_of_all_processes_are_summed(directory):
    found = known(summed(directory))
    assert found == known(MultiProcessCollector(CollectorRegistry(), str(directory)).collect())
    assert (
        found["pyserve_http_responses"][2]["pyserve_http_responses_total", ("status", "200")] == 4
    )


def test_the_page_is_what_prometheus_client_writes(directory):
    labels = (("model", 'quo"te\\\n'), ("kind", "x"))
    rows = [
        Metric("pyserve_a_total", "counter", "A.", {labels: 2.0}),
        Metric("pyserve_b", "gauge", "B.", {(): 12345678.5}),
    ]
    families = [*(row.family() for row in rows), *summed(directory)]
    page = SimpleNamespace(collect=lambda: families)
    assert text(families) == generate_latest(page).decode()
