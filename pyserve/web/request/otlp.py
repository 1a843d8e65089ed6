"""`--otlp-endpoint`: sends spans by OTLP over HTTP, with OpenTelemetry's own packages.

They are the extra `pyserve[otel]`, and are imported when they are used. Their thread sends spans in
batches; what it cannot send in time is dropped.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from typing import Any
from urllib.parse import urlsplit

from pyserve import __version__
from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError
from pyserve.web.request.spans import Span

EXPORTER = "opentelemetry.exporter.otlp.proto.http"
TRACES_PATH = "/v1/traces"
SEND_S = 5.0
FAREWELL_S = 2.0


def check_otlp(config: ServeConfig) -> None:
    """Raises InvalidRequestError for an endpoint that is no URL, or without the packages."""
    if config.otlp_endpoint is None:
        return
    parts = urlsplit(config.otlp_endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequestError(f"--otlp-endpoint {config.otlp_endpoint}: is no HTTP URL")
    try:
        importlib.util.find_spec(EXPORTER)
    except ModuleNotFoundError as error:
        raise InvalidRequestError(
            "--otlp-endpoint needs more packages: pip install 'pyserve[otel]'"
        ) from error


class OtlpExporter:
    """Spans on their way to a collector. REQUIRES: `check_otlp`; made after the fork. Any thread.

    endpoint: its URL; without a path it is that of OTLP. OTEL_* of the environment count too.
    """

    def __init__(self, endpoint: str) -> None:
        def of(module: str, name: str) -> Any:
            return getattr(importlib.import_module(f"opentelemetry.{module}"), name)

        url = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH
        sender = of("exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter")
        resource = {"service.name": "pyserve", "service.version": __version__}
        self._provider = of("sdk.trace", "TracerProvider")(
            resource=of("sdk.resources", "Resource").create(resource), shutdown_on_exit=False
        )
        batches = of("sdk.trace.export", "BatchSpanProcessor")
        self._provider.add_span_processor(batches(sender(endpoint=url, timeout=SEND_S)))
        self._tracer = self._provider.get_tracer("pyserve", __version__)
        self._context = of("trace.propagation.tracecontext", "TraceContextTextMapPropagator")()
        self._server = of("trace", "SpanKind").SERVER
        self._error = of("trace", "StatusCode").ERROR

    def __call__(self, span: Span) -> None:
        """Queue a span; never waits, and drops it if the queue is full."""
        opened = self._tracer.start_span(
            span.name,
            context=self._context.extract(span.parent),
            kind=self._server,
            attributes=span.attributes,
            start_time=span.begin_ns,
        )
        if span.error is not None:
            opened.set_status(self._error, span.error)
        opened.end(end_time=span.end_ns)

    def close(self) -> None:
        """Send what is queued, for a moment."""
        farewell = threading.Thread(target=self._provider.force_flush, daemon=True)
        farewell.start()
        farewell.join(FAREWELL_S)
