from __future__ import annotations

import re

import pytest

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.kernels import KernelFall
from pyserve.engine.protocol import EngineStats
from pyserve.openai.server.balancers import balancer_metrics, vllm_families
from pyserve.openai.server.metrics import (
    Metric,
    engine_metrics,
    gap_family,
    llama_metrics,
    text,
)
from pyserve.web.request.measures import PageCache
from tests.support.clocks import Clock
from tests.support.endpoint_picker import VLLM, read_load
from tests.support.front import CHAT, COMPLETIONS, chat_body

LINE = re.compile(r"# (HELP|TYPE) \S+ .+|[a-z_]+:?[a-z_]+(\{[^}]*\})? \S+")


KEYS = """
[[keys]]
key = "key-of-all"
[[keys]]
key = "key-of-some"
models = ["one"]
"""


def end(front, path, body, **options):
    """A request until its end, as a server would have it."""
    response = front.post(path, body, **options)
    response.get_data()
    response.close()


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
        "llamacpp:n_tokens_max",
        "llamacpp:spec_decode_num_drafts_total",
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


def test_what_requests_took_is_measured_by_model_and_endpoint(front):
    end(front, CHAT, chat_body(max_tokens=2))
    end(front, CHAT, chat_body(stream=True))
    end(front, COMPLETIONS, {"prompt": "one two"})
    end(front, CHAT, {})
    found = samples(front)
    chat, completion = (f'{{endpoint="{name}",model="tiny"}}' for name in ("chat", "completions"))
    for name in ("time_to_first_token_seconds", "queue_seconds", "request_seconds"):
        assert found[f"pyserve_{name}_count{chat}"] == 2
        assert found[f"pyserve_{name}_count{completion}"] == 1
    assert found[f"pyserve_generation_tokens_sum{completion}"] == 2
    assert found[f"pyserve_prompt_tokens_count{chat}"] == 2
    asked = 'pyserve_requests_total{{endpoint="chat",finish_reason="{}",model="{}",status="{}"}}'
    assert found[asked.format("length", "tiny", 200)] == 1
    assert found[asked.format("stop", "tiny", 200)] == 1
    assert found[asked.format("", "", 400)] == 1


def test_times_between_tokens_become_a_histogram():
    gaps = ((5.0, 3), (50.0, 1), (float("inf"), 2))
    page = text([gap_family({"m": EngineStats(gaps=gaps, gaps_ms=600.0)})])
    assert page.splitlines()[2:] == [
        'pyserve_inter_token_seconds_bucket{le="0.005",model="m"} 3.0',
        'pyserve_inter_token_seconds_bucket{le="0.05",model="m"} 4.0',
        'pyserve_inter_token_seconds_bucket{le="+Inf",model="m"} 6.0',
        'pyserve_inter_token_seconds_count{model="m"} 6.0',
        'pyserve_inter_token_seconds_sum{model="m"} 0.6',
    ]


def test_drafts_have_the_names_of_llama_server_and_vllm():
    one = EngineStats(
        n_steps=4,
        n_step_requests=6,
        n_tokens_max=30,
        n_drafts=5,
        n_draft_tokens=9,
        n_draft_accepted=4,
        n_accepted_at=(3, 1),
    )
    other = EngineStats(
        n_tokens_max=20, n_drafts=1, n_draft_tokens=1, n_draft_accepted=1, n_accepted_at=(1,)
    )
    native = text(metric.family() for metric in llama_metrics([one, other]))
    for line in (
        "n_tokens_max 30.0",
        "n_busy_slots_per_decode 1.5",
        "spec_decode_num_drafts_total 6.0",
        "spec_decode_num_draft_tokens_total 10.0",
        "spec_decode_num_accepted_tokens_total 5.0",
        'spec_decode_num_accepted_tokens_per_pos_total{position="0"} 4.0',
        'spec_decode_num_accepted_tokens_per_pos_total{position="1"} 1.0',
    ):
        assert f"\nllamacpp:{line}\n" in native
    page = text(vllm_families(metric.family() for metric in engine_metrics({"m": one})))
    for line in (
        'num_drafts_total{model_name="m"} 5.0',
        'num_draft_tokens_total{model_name="m"} 9.0',
        'num_accepted_tokens_total{model_name="m"} 4.0',
        'num_accepted_tokens_per_pos_total{model_name="m",position="0"} 3.0',
        'num_accepted_tokens_per_pos_total{model_name="m",position="1"} 1.0',
    ):
        assert f"\nvllm:spec_decode_{line}\n" in page


def test_what_is_kept_for_later_does_not_count_as_held():
    stats = {"m": EngineStats(n_kv_total=128, n_kv_used=128, n_kv_held=32)}
    page = text(metric.family() for metric in balancer_metrics(stats, {}, 1.0))
    assert 'pyserve_kv_held_ratio{model="m"} 0.25' in page
    blocks = '{block_size="64",model="m",num_gpu_blocks="2"} 1.0'
    assert f"pyserve_cache_config_info{blocks}" in page


def test_vllm_names_stand_beside_ours_where_they_are_asked_for(start):
    assert "vllm:" not in start().client.get("/metrics").text
    front = start(metrics_names="vllm")
    end(front, CHAT, chat_body())
    found = samples(front)
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        assert found[f'vllm:{name}{{model_name="tiny"}}'] == 0
    labels = 'endpoint="chat",model_name="tiny"'
    assert found[f"vllm:time_to_first_token_seconds_count{{{labels}}}"] == 1
    assert found[f"vllm:e2e_request_latency_seconds_count{{{labels}}}"] == 1
    assert 'vllm:generation_tokens_total{model_name="tiny"}' in found
    assert any(name.startswith("vllm:cache_config_info{") for name in found)


def test_an_endpoint_picker_reads_what_vllm_would_tell_it(start):
    front = start(metrics_names="vllm")
    load = read_load(front.client.get("/metrics").text, VLLM)
    assert load[:5] == (0, 0, 0.0, 64, front.core.stats().n_kv_total // 64)
    stats = EngineStats(
        n_running=2,
        n_waiting=3,
        n_kv_total=640,
        n_kv_held=160,
        running_adapters=("poet", "cook"),
        waiting_adapters=("poet",),
    )
    made = [*engine_metrics({"m": stats}), *balancer_metrics({"m": stats}, {"m": 4}, 1.7e9)]
    page = text(vllm_families(metric.family() for metric in made))
    assert read_load(page, VLLM) == (3, 2, 0.25, 64, 10, 4, ["poet", "cook"], ["poet"])
    lora = text(metric.family() for metric in balancer_metrics({"m": stats}, {"m": 4}, 1.7e9))
    assert 'pyserve_lora_requests_info{max_lora="4",model="m"' in lora
    none = text(metric.family() for metric in balancer_metrics({"m": stats}, {"m": 0}, 1.7e9))
    assert "pyserve_lora_requests_info{" not in none


def test_open_metrics_show_all_models_without_a_key(start):
    front = start(api_key=["sk-for-metrics"], open_metrics=True)
    assert 'pyserve_model_ready{model="tiny"}' in samples(front)
    assert [model["id"] for model in front.client.get("/v1/models").json["data"]] == ["tiny"]
    assert front.post(CHAT, chat_body()).status_code == 401
    assert front.client.get("/health").json["models"] == []


def test_a_key_sees_metrics_of_its_models_alone(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    front = start(models=("one", "two"), api_key_file=str(keys))
    for model in ("one", "two"):
        end(front, CHAT, chat_body(model=model), headers={"X-Api-Key": "key-of-all"})
    page = front.client.get("/metrics", headers={"X-Api-Key": "key-of-some"}).text
    assert 'model="one"' in page
    assert 'model="two"' not in page
    assert 'model="two"' in front.client.get("/metrics", headers={"X-Api-Key": "key-of-all"}).text


def test_a_page_is_made_at_most_so_often():
    clock, made = Clock(), []
    cache = PageCache(1.0, clock)

    def make():
        made.append(clock())
        return f"page {len(made)}"

    assert [cache.get("a", make), cache.get("a", make), cache.get("b", make)] == [
        "page 1",
        "page 1",
        "page 2",
    ]
    clock.now_s = 1.0
    assert cache.get("a", make) == "page 3"


def test_a_front_that_holds_all_it_may_is_still_measured(start):
    front = start(max_streams=1)
    permit = front.stream_limit.acquire()
    assert front.post(CHAT, chat_body()).status_code == 503
    assert samples(front)["pyserve_requests_in_work"] == 1
    permit.release()


def test_labels_are_escaped():
    page = text([Metric("m", "gauge", "About.", {(("model", 'a"b\\c\nd'),): 1.0}).family()])
    assert page.splitlines()[-1] == 'm{model="a\\"b\\\\c\\nd"} 1.0'


def test_a_key_is_needed_when_there_are_keys(start):
    front = start(api_key=["sk-for-metrics"])
    assert front.client.get("/metrics").status_code == 401
