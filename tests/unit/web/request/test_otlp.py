"""Spans on the wire, against a collector that only listens."""

from __future__ import annotations

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError
from pyserve.web.request.otlp import OtlpExporter, check_otlp
from pyserve.web.request.traces import Span
from tests.support.limits import SOON_S

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otel`")

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}


@pytest.fixture
def collector():
    """Its URL, and the paths and bodies of what it gets."""
    got: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def spans_of(body: bytes):
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    return resource.resource, scope.spans


@pytest.mark.parametrize(("given", "path"), [("", "/v1/traces"), ("/", "/v1/traces"), ("/x", "/x")])
def test_a_span_reaches_the_collector_below_its_parent(collector, given, path):
    url, got = collector
    exporter = OtlpExporter(url + given)
    attributes = {"gen_ai.usage.input_tokens": 7, "gen_ai.response.finish_reasons": ["stop"]}
    exporter(Span("chat m", 1_000, 3_000, PARENT, attributes, "queue_full"))
    exporter.close()
    at, body = got.get(timeout=SOON_S)
    resource, (span,) = spans_of(body)
    assert at == path
    named = {each.key: each.value.string_value for each in resource.attributes}
    assert named["service.name"] == "pyserve"
    assert (span.name, span.start_time_unix_nano, span.end_time_unix_nano) == (
        "chat m",
        1_000,
        3_000,
    )
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert span.status.message == "queue_full"
    sent = {each.key: each.value for each in span.attributes}
    assert sent["gen_ai.usage.input_tokens"].int_value == 7
    assert sent["gen_ai.response.finish_reasons"].array_value.values[0].string_value == "stop"


def test_a_parent_that_is_not_sampled_is_respected_and_one_that_is_none_ignored(collector):
    url, got = collector
    exporter = OtlpExporter(url)
    exporter(Span("unsampled", 1, 2, {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}))
    exporter(Span("odd", 1, 2, {"traceparent": "nonsense\x00"}))
    exporter.close()
    _, (span,) = spans_of(got.get(timeout=SOON_S)[1])
    assert (span.name, span.parent_span_id) == ("odd", b"")


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost", "http://"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint):
    with pytest.raises(InvalidRequestError, match="--otlp-endpoint"):
        check_otlp(ServeConfig(otlp_endpoint=endpoint))
    check_otlp(ServeConfig(otlp_endpoint="https://collector.example/x"))
    check_otlp(ServeConfig())
