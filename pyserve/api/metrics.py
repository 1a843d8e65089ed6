"""GET /metrics: metrics of the engines and of this front worker, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Response
from prometheus_client.metrics_core import Metric as Family

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import EngineStats
from pyserve.errors import PyserveError
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.balancers import balancer_metrics, vllm_families
from pyserve.openai.server.metrics import (
    CONTENT_TYPE,
    Metric,
    engine_metrics,
    gap_family,
    llama_metrics,
    replica_metrics,
    text,
)
from pyserve.web.answer.model_names import may_use
from pyserve.web.request.services import services

endpoint = Endpoint("metrics", tag="Server")


@endpoint.view(
    Operation(
        name="metrics",
        method="get",
        path="/metrics",
        summary="Metrics for Prometheus",
        details="llama-server's names, summed over the models, and our own by model and endpoint.",
        media_type="text/plain",
    )
)
def metrics() -> Response:
    """Metrics of the engines, and of all front workers; made at most every tenth of a second."""
    parts = services()
    seen = tuple(status.id for status in parts.backend.models() if may_use(status.id))
    return Response(parts.metrics_pages.get(seen, _page), content_type=CONTENT_TYPE)


def _page() -> str:
    parts, stats = services(), _engine_stats()
    n_adapters = {each.id: len(each.profile.adapters) for each in parts.backend.models()}
    made = [
        *engine_metrics(stats),
        *replica_metrics([each for each in parts.backend.replicas() if may_use(each.model_id)]),
        *balancer_metrics(stats, n_adapters, time.time()),  # noqa: TID251  # Prometheus has it
        *_front_metrics(),
    ]
    ours = [gap_family(stats), *(metric.family() for metric in made), *_measured()]
    if parts.config.metrics_names == "vllm":
        ours += vllm_families(ours)
    return text([*(metric.family() for metric in llama_metrics(stats.values())), *ours])


def _measured() -> Iterator[Family]:
    """What front workers measured, of the models that the caller may see."""
    for family in services().measures.families():
        if any("model" in sample.labels for sample in family.samples):
            family.samples = [
                sample for sample in family.samples if may_use(sample.labels.get("model", ""))
            ]
        yield family


def _engine_stats() -> dict[str, EngineStats]:
    """Engine counters by model, without engines that end meanwhile."""
    found = {}
    for model_id, engine in services().backend.engines().items():
        try:
            if may_use(model_id):
                found[model_id] = engine.stats()
        except PyserveError:
            continue
    return found


def _front_metrics() -> list[Metric]:
    parts = services()
    statuses = [status for status in parts.backend.models() if may_use(status.id)]
    return [
        Metric(
            "pyserve_model_ready",
            "gauge",
            "1 while the model can answer.",
            {(("model", status.id),): float(status.state == "ready") for status in statuses},
        ),
        Metric(
            "pyserve_engine_restarts_total",
            "counter",
            "Restarts of a model's engine after it ended.",
            {(("model", status.id),): float(status.n_restarts) for status in statuses},
        ),
        Metric(
            "pyserve_kernels",
            "gauge",
            "1 for the kernels in use by a model's engine.",
            {
                (("model", status.id), ("kernels", status.info.kernels)): 1.0
                for status in statuses
                if status.info is not None
            },
        ),
        Metric(
            "pyserve_kernel_falls_total",
            "counter",
            "Kernels that could not be used, by reason.",
            {
                (("model", status.id), ("kernels", fall.kernels), ("reason", fall.reason)): 1.0
                for status in statuses
                for fall in status.kernel_falls
            },
        ),
        Metric(
            "pyserve_requests_revived_total",
            "counter",
            "Requests resumed in another engine after a crash.",
            {(): float(parts.backend.n_revived)},
        ),
        Metric(
            "pyserve_requests_in_work",
            "gauge",
            "Requests in work in this front worker.",
            {(): float(parts.stream_limit.n_held)},
        ),
    ]
