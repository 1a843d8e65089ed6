"""Metrics in Prometheus' text format: llama-server's names, and ours beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pyserve.engine.protocol import EngineStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Family = CounterMetricFamily | GaugeMetricFamily
Labels = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """One metric with its samples. kind: counter or gauge."""

    name: str
    kind: str
    about: str
    samples: Mapping[Labels, float]


class _Page:
    """Metrics as prometheus_client collects them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        for metric in self._metrics:
            names = [name for name, _ in next(iter(metric.samples), ())]
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.about, labels=names)
            for labels, value in metric.samples.items():
                family.add_metric([text for _, text in labels], value)
            yield family


def text(metrics: Iterable[Metric]) -> str:
    """The metrics page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(metrics))
    return generate_latest(registry).decode()


def llama_metrics(all_stats: Iterable[EngineStats]) -> list[Metric]:
    """llama-server's metrics, summed over all models."""
    stats = list(all_stats)

    def total(name: str) -> float:
        return float(sum(getattr(one, name) for one in stats))

    n_prompt, n_decode = total("n_prompt_tokens"), total("n_decode_tokens")
    prompt_s, decode_s = total("prompt_ms") / 1000, total("decode_ms") / 1000
    n_kv = total("n_kv_total")
    rows = [
        ("prompt_tokens_total", "counter", "Prompt tokens computed.", n_prompt),
        ("prompt_seconds_total", "counter", "Seconds of steps with prompts.", prompt_s),
        ("tokens_predicted_total", "counter", "Tokens generated.", n_decode),
        ("tokens_predicted_seconds_total", "counter", "Seconds of generating.", decode_s),
        ("n_decode_total", "counter", "Engine steps.", total("n_steps")),
        ("prompt_tokens_seconds", "gauge", "Prompt tokens per second.", _ratio(n_prompt, prompt_s)),
        ("predicted_tokens_seconds", "gauge", "Tokens per second.", _ratio(n_decode, decode_s)),
        ("requests_processing", "gauge", "Running requests.", total("n_running")),
        ("requests_deferred", "gauge", "Queued requests.", total("n_waiting")),
        (
            "kv_cache_usage_ratio",
            "gauge",
            "Used part of the cache.",
            _ratio(total("n_kv_used"), n_kv),
        ),
        ("kv_cache_tokens", "gauge", "Tokens in the KV cache.", total("n_kv_used")),
    ]
    return [
        Metric(f"llamacpp:{name}", kind, about, {(): value}) for name, kind, about, value in rows
    ]


def engine_metrics(stats: Mapping[str, EngineStats]) -> list[Metric]:
    """Metrics of each model since its engine was started."""
    rows = [
        ("requests_finished_total", "counter", "Requests that finished.", "n_finished"),
        ("requests_failed_total", "counter", "Requests that failed.", "n_failed"),
        ("requests_cancelled_total", "counter", "Requests that were cancelled.", "n_cancelled"),
        ("requests_preempted_total", "counter", "Requests preempted for others.", "n_preempted"),
        ("cached_tokens_total", "counter", "Prompt tokens read from cache.", "n_cached_tokens"),
        ("prefix_hits_total", "counter", "Requests with a cached prefix.", "n_prefix_hits"),
        ("compute_threads", "gauge", "Compute threads of the last step.", "n_threads"),
    ]
    return [
        Metric(
            f"pyserve_{name}",
            kind,
            about,
            {(("model", model),): float(getattr(one, field)) for model, one in stats.items()},
        )
        for name, kind, about, field in rows
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
