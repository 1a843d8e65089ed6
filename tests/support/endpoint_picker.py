"""Reads metrics as an endpoint picker does, written from its published protocol alone.

A spec is a metric's name, maybe with labels in braces. Of several samples the last one counts:
that of the highest value where the value is a time. Labels say blocks and adapters.
"""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

# Of an engine that says nothing else.
VLLM = {
    "queuedRequestsSpec": "vllm:num_requests_waiting",
    "runningRequestsSpec": "vllm:num_requests_running",
    "kvUsageSpec": "vllm:kv_cache_usage_perc",
    "loraSpec": "vllm:lora_requests_info",
    "cacheInfoSpec": "vllm:cache_config_info",
}


class Load(NamedTuple):
    """What a picker knows of a server. adapters: running and queued, at most max_adapters."""

    n_waiting: int
    n_running: int
    kv_usage: float
    block_size: int
    n_blocks: int
    max_adapters: int
    running_adapters: list[str]
    waiting_adapters: list[str]


def read_load(page: str, specs: dict[str, str]) -> Load:
    """Raises KeyError for a metric that is missing. Without adapters there are no adapters."""
    gauges: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(page):
        if family.type == "gauge":
            gauges[family.name] = family.samples

    def value(spec: str) -> float:
        return gauges[specs[spec]][-1].value

    blocks = gauges[specs["cacheInfoSpec"]][-1].labels
    adapters = gauges.get(specs["loraSpec"], [])
    labels = max(adapters, key=lambda sample: sample.value).labels if adapters else {}
    return Load(
        n_waiting=int(value("queuedRequestsSpec")),
        n_running=int(value("runningRequestsSpec")),
        kv_usage=value("kvUsageSpec"),
        block_size=int(blocks["block_size"]),
        n_blocks=int(blocks["num_gpu_blocks"]),
        max_adapters=int(labels.get("max_lora", "0")),
        running_adapters=_names(labels.get("running_lora_adapters", "")),
        waiting_adapters=_names(labels.get("waiting_lora_adapters", "")),
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
