from __future__ import annotations

import re

import pytest

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.kernels import KernelFall
from pyserve.openai.server.metrics import Metric, text
from tests.support.front import CHAT, chat_body

LINE = re.compile(r"# (HELP|TYPE) \S+ .+|[a-z_]+:?[a-z_]+(\{[^}]*\})? \S+")


def samples(front):
    page = front.client.get("/metrics").text
    lines = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_every_line_is_of_the_format(front):
    response = front.client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert response.text.endswith("\n")
    for line in response.text.splitlines():
        assert LINE.fullmatch(line), line


@pytest.mark.parametrize(
    "name",
    [
        "llamacpp:prompt_tokens_total",
        "llamacpp:tokens_predicted_total",
        "llamacpp:n_decode_total",
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        'pyserve_model_ready{model="tiny"}',
        'pyserve_engine_restarts_total{model="tiny"}',
        "pyserve_requests_revived_total",
    ],
)
def test_the_names_that_dashboards_know_are_there(front, name):
    assert name in samples(front)


def test_requests_and_refusals_are_counted(front):
    for _ in range(2):
        front.post(CHAT, chat_body())
    front.post(CHAT, {})
    front.client.get("/v1/nothing")
    found = samples(front)
    assert found['pyserve_requests_finished_total{model="tiny"}'] == 2
    assert found['pyserve_http_responses_total{status="200"}'] == 2
    assert found['pyserve_errors_total{code="missing_required_parameter"}'] == 1
    assert found['pyserve_http_responses_total{status="404"}'] == 1
    assert found["pyserve_requests_in_work"] == 0


def test_kernels_and_what_became_of_better_ones_are_counted(start):
    falls = (KernelFall("fast", "SIGILL"), KernelFall("slow", "failed its proof: SIGBUS"))
    fallen = ModelStatus(id="m", created=1, state="loading", kernel_falls=falls)
    found = samples(start(others=(fallen,), engine={"kernels": "fast"}))
    assert found['pyserve_kernels{kernels="fast",model="tiny"}'] == 1
    labels = [("fast", "SIGILL"), ("slow", "failed its proof: SIGBUS")]
    counted = {name for name in found if name.startswith("pyserve_kernel_falls_total")}
    assert counted == {
        f'pyserve_kernel_falls_total{{kernels="{kernels}",model="m",reason="{reason}"}}'
        for kernels, reason in labels
    }


def test_labels_are_escaped():
    page = text([Metric("m", "gauge", "About.", {(("model", 'a"b\\c\nd'),): 1.0})])
    assert page.splitlines()[-1] == 'm{model="a\\"b\\\\c\\nd"} 1.0'


def test_a_key_is_needed_when_there_are_keys(start):
    front = start(api_key=["sk-for-metrics"])
    assert front.client.get("/metrics").status_code == 401
