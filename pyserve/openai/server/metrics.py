"""Metrics in Prometheus' text format: llama-server's names, and ours beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from math import isinf
from typing import NamedTuple, cast

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from pyserve.backend.protocol import ReplicaStatus
from pyserve.engine.protocol import EngineStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_DRAFTS = "Drafts that steps checked."
_DRAFT_TOKENS = "Guessed tokens that steps checked."
_ACCEPTED = "Those that were right."
_ACCEPTED_AT = "Guessed tokens that were right, by their place in the draft, from 0."

Labels = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """One metric with its samples. kind: counter or gauge."""

    name: str
    kind: str
    about: str
    samples: Mapping[Labels, float]

    def family(self) -> Family:
        """As prometheus_client has it."""
        names = [name for name, _ in next(iter(self.samples), ())]
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.about, labels=names)
        for labels, value in self.samples.items():
            family.add_metric([text for _, text in labels], value)
        return family


def text(families: Iterable[Family]) -> str:
    """The metrics page: of counters, gauges and histograms what prometheus_client writes of them.

    That makes the names of all samples anew each time, which takes most of its time.
    """
    lines = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines.append(f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n")
        for sample in family.samples:
            full_name = _full_name(sample.name, tuple(sample.labels.items()))
            lines.append(f"{full_name} {_number(sample.value)}\n")
    return "".join(lines)


def _number(value: float) -> str:
    return cast(str, floatToGoString(value))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=8192)
def _full_name(name: str, labels: Labels) -> str:
    """The name of a sample with its labels."""
    shown = ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels))
    return f"{name}{{{shown}}}" if shown else name


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def llama_metrics(all_stats: Iterable[EngineStats]) -> list[Metric]:
    """llama-server's metrics, summed over all models."""
    stats = list(all_stats)

    def total(name: str) -> float:
        return float(sum(getattr(one, name) for one in stats))

    n_prompt, n_decode = total("n_prompt_tokens"), total("n_decode_tokens")
    prompt_s, decode_s = total("prompt_ms") / 1000, total("decode_ms") / 1000
    n_used, n_cells = total("n_kv_used"), total("n_kv_total")
    n_most = float(max((one.n_tokens_max for one in stats), default=0))
    n_busy = ratio(total("n_step_requests"), total("n_steps"))
    rows = [
        ("prompt_tokens_total", "Prompt tokens computed.", n_prompt),
        ("prompt_tokens_cached_total", "Prompt tokens read from cache.", total("n_cached_tokens")),
        ("prompt_seconds_total", "Seconds of steps with prompts.", prompt_s),
        ("tokens_predicted_total", "Tokens generated.", n_decode),
        ("tokens_predicted_seconds_total", "Seconds of generating.", decode_s),
        ("n_decode_total", "Engine steps.", total("n_steps")),
        ("n_tokens_max", "Most tokens of a prompt with its answer.", n_most),
        ("prompt_tokens_seconds", "Prompt tokens per second.", ratio(n_prompt, prompt_s)),
        ("predicted_tokens_seconds", "Tokens per second.", ratio(n_decode, decode_s)),
        ("requests_processing", "Running requests.", total("n_running")),
        ("requests_deferred", "Queued requests.", total("n_waiting")),
        ("kv_cache_usage_ratio", "Used part of the cache.", ratio(n_used, n_cells)),
        ("kv_cache_tokens", "Tokens in the KV cache.", n_used),
        ("n_busy_slots_per_decode", "Requests in a step.", n_busy),
        ("spec_decode_num_drafts_total", _DRAFTS, total("n_drafts")),
        ("spec_decode_num_draft_tokens_total", _DRAFT_TOKENS, total("n_draft_tokens")),
        ("spec_decode_num_accepted_tokens_total", _ACCEPTED, total("n_draft_accepted")),
    ]
    accepted_at = zip_longest(*(one.n_accepted_at for one in stats), fillvalue=0)
    by_place: dict[Labels, float] = {
        (("position", str(i)),): float(sum(each)) for i, each in enumerate(accepted_at)
    }
    singles: list[tuple[str, str, dict[Labels, float]]] = [
        (name, about, {(): value}) for name, about, value in rows
    ]
    places = ("spec_decode_num_accepted_tokens_per_pos_total", _ACCEPTED_AT, by_place)
    return [
        Metric(
            f"llamacpp:{name}", "counter" if name.endswith("_total") else "gauge", about, samples
        )
        for name, about, samples in (*singles, places)
    ]


def engine_metrics(stats: Mapping[str, EngineStats]) -> list[Metric]:
    """Metrics of each model since its engine was started."""
    rows = [
        ("requests_finished_total", "counter", "Requests that finished.", "n_finished"),
        ("requests_failed_total", "counter", "Requests that failed.", "n_failed"),
        ("requests_cancelled_total", "counter", "Requests that were cancelled.", "n_cancelled"),
        ("requests_preempted_total", "counter", "Requests preempted for others.", "n_preempted"),
        (
            "steps_given_up_total",
            "counter",
            "Steps of the background broken off for others.",
            "n_gave_way",
        ),
        ("cached_tokens_total", "counter", "Prompt tokens read from cache.", "n_cached_tokens"),
        ("prefix_hits_total", "counter", "Requests with a cached prefix.", "n_prefix_hits"),
        ("compute_threads", "gauge", "Compute threads of the last step.", "n_threads"),
        ("prompt_tokens_computed_total", "counter", "Prompt tokens computed.", "n_prompt_tokens"),
        ("tokens_generated_total", "counter", "Tokens generated.", "n_decode_tokens"),
        ("drafts_total", "counter", _DRAFTS, "n_drafts"),
        ("draft_tokens_total", "counter", _DRAFT_TOKENS, "n_draft_tokens"),
        ("draft_tokens_accepted_total", "counter", _ACCEPTED, "n_draft_accepted"),
        ("tokens_max", "gauge", "Most tokens of a prompt with its answer.", "n_tokens_max"),
        ("requests_running", "gauge", "Running requests.", "n_running"),
        ("requests_waiting", "gauge", "Queued requests.", "n_waiting"),
        ("kv_cells", "gauge", "Tokens that the KV cache has room for.", "n_kv_total"),
        ("kv_cells_used", "gauge", "Tokens in it, also those kept for later.", "n_kv_used"),
        ("kv_cells_held", "gauge", "Tokens that running requests need.", "n_kv_held"),
        ("prefix_copy_bytes", "gauge", "Copies of prefixes beside it.", "prefix_copy_bytes"),
        (
            "kv_event_losses_total",
            "counter",
            "How often events of prefixes were dropped, and all told again.",
            "n_block_losses",
        ),
        ("resident_bytes", "gauge", "Memory of the engine's process.", "rss_bytes"),
    ]
    return [*_rows(stats, rows), *_draft_metrics(stats), *_disk_metrics(stats)]


def replica_metrics(replicas: Sequence[ReplicaStatus]) -> list[Metric]:
    """What tells the replicas of a model from each other; nothing where there are none."""
    if not replicas:
        return []
    rows = [
        ("requests_running", "gauge", "Running requests.", "n_running"),
        ("requests_waiting", "gauge", "Queued requests.", "n_waiting"),
        ("kv_cells", "gauge", "Tokens that its KV cache has room for.", "n_kv_total"),
        ("kv_cells_held", "gauge", "Tokens that running requests need.", "n_kv_held"),
        ("cached_tokens_total", "counter", "Prompt tokens read from cache.", "n_cached_tokens"),
        ("prompt_tokens_computed_total", "counter", "Prompt tokens computed.", "n_prompt_tokens"),
        ("tokens_generated_total", "counter", "Tokens generated.", "n_decode_tokens"),
    ]
    names: list[Labels] = [
        (("model", each.model_id), ("replica", each.name), ("host", each.host)) for each in replicas
    ]
    ready = {name: float(each.is_ready) for name, each in zip(names, replicas, strict=True)}
    return [
        Metric("pyserve_replica_ready", "gauge", "1 while this front reaches it.", ready),
        *(
            Metric(
                f"pyserve_replica_{name}",
                kind,
                about,
                {
                    labels: float(getattr(each.stats, field))
                    for labels, each in zip(names, replicas, strict=True)
                },
            )
            for name, kind, about, field in rows
        ),
    ]


def _draft_metrics(stats: Mapping[str, EngineStats]) -> list[Metric]:
    """Guessed tokens by their places in drafts, and by where they came from."""
    accepted_at: dict[Labels, float] = {
        (("model", model), ("position", str(i))): float(n)
        for model, one in stats.items()
        for i, n in enumerate(one.n_accepted_at)
    }
    by_kind = [
        Metric(
            f"pyserve_draft_{name}_total",
            "counter",
            about,
            {
                (("model", model), ("kind", draft.kind)): float(getattr(draft, field))
                for model, one in stats.items()
                for draft in one.drafts
            },
        )
        for name, about, field in (
            ("kind_tokens", "Guessed tokens that steps checked, by kind.", "n_tokens"),
            ("kind_tokens_accepted", "Those that were right, by kind.", "n_accepted"),
        )
    ]
    places = Metric("pyserve_draft_tokens_accepted_at_total", "counter", _ACCEPTED_AT, accepted_at)
    return [places, *by_kind]


def _disk_metrics(stats: Mapping[str, EngineStats]) -> list[Metric]:
    """Computed prefixes on disk."""
    rows = [
        ("bytes", "gauge", "Bytes of computed prefixes on disk, of all models.", "disk_bytes"),
        ("files", "gauge", "Files of the model's computed prefixes.", "n_disk_pieces"),
        ("hits_total", "counter", "Prefixes that were read from disk.", "n_disk_hits"),
        ("tokens_total", "counter", "Tokens of prefixes read from disk.", "n_disk_tokens"),
        ("read_bytes_total", "counter", "Bytes read.", "disk_read_bytes"),
        ("writes_total", "counter", "Files written.", "n_disk_written"),
        ("written_bytes_total", "counter", "Bytes written.", "disk_written_bytes"),
        ("write_errors_total", "counter", "Files that could not be written.", "n_disk_errors"),
    ]
    reasons = ("absent", "slow", "full", "late", "damaged", "gone")
    misses: dict[Labels, float] = {
        (("model", model), ("reason", reason)): float(getattr(one, f"n_disk_{reason}"))
        for model, one in stats.items()
        for reason in reasons
    }
    seconds: dict[Labels, float] = {
        (("model", model),): one.disk_read_ms / 1000 for model, one in stats.items()
    }
    return [
        *_rows(stats, rows, "prefix_disk_"),
        Metric(
            "pyserve_prefix_disk_misses_total",
            "counter",
            "Prefixes looked for on disk and not read, by reason.",
            misses,
        ),
        Metric("pyserve_prefix_disk_read_seconds_total", "counter", "Seconds of reading.", seconds),
    ]


def _rows(
    stats: Mapping[str, EngineStats], rows: list[tuple[str, str, str, str]], prefix: str = ""
) -> list[Metric]:
    """A metric for each row of name, kind, description and field."""
    return [
        Metric(
            f"pyserve_{prefix}{name}",
            kind,
            about,
            {(("model", model),): float(getattr(one, field)) for model, one in stats.items()},
        )
        for name, kind, about, field in rows
    ]


def gap_family(stats: Mapping[str, EngineStats]) -> Family:
    """The times between the tokens of answers."""
    about = "Between two tokens of an answer."
    family = HistogramMetricFamily("pyserve_inter_token_seconds", about, labels=["model"])
    for model, one in stats.items():
        buckets, n = [], 0
        for bound_ms, count in one.gaps:
            n += count
            bound = "+Inf" if isinf(bound_ms) else repr(bound_ms / 1000)
            buckets.append((bound, n))
        if buckets:
            family.add_metric([model], buckets, one.gaps_ms / 1000)
    return family


def ratio(part: float, whole: float) -> float:
    """0 of nothing."""
    return part / whole if whole > 0 else 0.0
