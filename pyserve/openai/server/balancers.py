"""Metrics that gateways choose servers by: held cells, blocks, adapters; and vLLM's names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from pyserve.engine.prefix_changes import BLOCK_TOKENS
from pyserve.engine.protocol import EngineStats
from pyserve.openai.server.metrics import Metric, ratio

# Ours by vLLM's names. Source: vLLM's metrics, version 0.11.
VLLM_NAMES = {
    "pyserve_requests_running": "vllm:num_requests_running",
    "pyserve_requests_waiting": "vllm:num_requests_waiting",
    "pyserve_kv_held_ratio": "vllm:kv_cache_usage_perc",
    "pyserve_cache_config_info": "vllm:cache_config_info",
    "pyserve_lora_requests_info": "vllm:lora_requests_info",
    "pyserve_prompt_tokens_computed": "vllm:prompt_tokens",
    "pyserve_tokens_generated": "vllm:generation_tokens",
    "pyserve_requests_preempted": "vllm:num_preemptions",
    "pyserve_drafts": "vllm:spec_decode_num_drafts",
    "pyserve_draft_tokens": "vllm:spec_decode_num_draft_tokens",
    "pyserve_draft_tokens_accepted": "vllm:spec_decode_num_accepted_tokens",
    "pyserve_draft_tokens_accepted_at": "vllm:spec_decode_num_accepted_tokens_per_pos",
    "pyserve_inter_token_seconds": "vllm:inter_token_latency_seconds",
    "pyserve_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "pyserve_request_seconds": "vllm:e2e_request_latency_seconds",
    "pyserve_queue_seconds": "vllm:request_queue_time_seconds",
    "pyserve_prompt_tokens": "vllm:request_prompt_tokens",
    "pyserve_generation_tokens": "vllm:request_generation_tokens",
}


def balancer_metrics(
    stats: Mapping[str, EngineStats], n_adapters: Mapping[str, int], now_s: float
) -> list[Metric]:
    """What balancers ask. n_adapters: LoRA adapters of each model. now_s: Unix time."""
    return [_held_ratio(stats), _cache_config(stats), _adapters(stats, n_adapters, now_s)]


def _held_ratio(stats: Mapping[str, EngineStats]) -> Metric:
    """What is kept for later does not count: it can be given up."""
    return Metric(
        "pyserve_kv_held_ratio",
        "gauge",
        "Part of the KV cache that running requests need.",
        {(("model", model),): ratio(one.n_kv_held, one.n_kv_total) for model, one in stats.items()},
    )


def _cache_config(stats: Mapping[str, EngineStats]) -> Metric:
    """Blocks as balancers count them; ours has none, but shares tokens."""
    return Metric(
        "pyserve_cache_config_info",
        "gauge",
        "The KV cache in blocks.",
        {
            (
                ("model", model),
                ("block_size", str(BLOCK_TOKENS)),
                ("num_gpu_blocks", str(one.n_kv_total // BLOCK_TOKENS)),
            ): 1.0
            for model, one in stats.items()
        },
    )


def _adapters(
    stats: Mapping[str, EngineStats], n_adapters: Mapping[str, int], now_s: float
) -> Metric:
    """Its value is the time, by which balancers find the last one."""
    return Metric(
        "pyserve_lora_requests_info",
        "gauge",
        "Adapters of running and queued requests, and the time.",
        {
            (
                ("model", model),
                ("max_lora", str(n_adapters[model])),
                ("running_lora_adapters", ",".join(one.running_adapters)),
                ("waiting_lora_adapters", ",".join(one.waiting_adapters)),
            ): now_s
            for model, one in stats.items()
            if n_adapters.get(model)
        },
    )


def vllm_families(families: Iterable[Family]) -> Iterator[Family]:
    """Those that vLLM has as well, by its names and with its label of the model."""
    for family in families:
        name = VLLM_NAMES.get(family.name)
        if name is None:
            continue
        renamed = Family(name, family.documentation, family.type)
        for sample in family.samples:
            labels = {
                "model_name" if key == "model" else key: v for key, v in sample.labels.items()
            }
            suffix = sample.name.removeprefix(family.name)
            renamed.samples.append(Sample(name + suffix, labels, sample.value))
        yield renamed
