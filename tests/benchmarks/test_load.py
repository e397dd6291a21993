"""Does a measured worker run what it was sent, and is what it sent counted?"""

from __future__ import annotations

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks import macro
from benchmarks.sink import sinking
from tests.services import ServiceMissing, missing, program


def test_spans_and_bytes_are_counted_as_they_came() -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.extend([Span(kind=Span.SPAN_KIND_PRODUCER), Span(kind=Span.SPAN_KIND_CONSUMER)])
    body = request.SerializeToString()
    with sinking() as sink:
        whole = requests.post(f"{sink.url}/v1/traces", data=body, timeout=10)
        chunked = requests.post(f"{sink.url}/v1/traces", data=iter([body]), timeout=10)
        assert (whole.status_code, chunked.status_code) == (200, 200)
        assert sink.otlp_spans(Span.SPAN_KIND_CONSUMER) == 2
        assert sink.sent("/v1/traces") == 2 * len(body)


@pytest.mark.worker
def test_a_worker_is_measured_with_all_that_it_tells() -> None:
    """A small run of what `make bench` does: figures are there, and no span is missing."""
    try:
        program("redis-server")
    except ServiceMissing as why:
        missing(str(why))
    figures = macro.run("ours", macro.Load(tasks=20, settle=0.5))
    assert figures["exit_code"] == 0
    assert figures["spans_delivered"] == figures["spans_due"] == 2 * (macro.WARM + 20 + 2)
    assert min(figures["wire_bytes"], figures["message_bytes"]) > 0
    assert figures["main_pss"] <= figures["main_rss"]
