"""Spans reach a collector that speaks gRPC only."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource

from otel_celery.courier import Courier
from otel_celery.lanes import Counts
from otel_celery.log_records import LogEnvelope, Running, encode_record
from otel_celery.otlp import Envelope, encode_span
from otel_celery.sdk import build_log_lane, build_span_lane
from otel_celery.span import CONSUMER, FinishedSpan


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.logs = LogCollector()

    def Export(
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.requests.append(request)
        return ExportTraceServiceResponse()


class LogCollector(logs_service_pb2_grpc.LogsServiceServicer):
    """Keeps the log records that it was sent."""

    def __init__(self) -> None:
        self.requests: list[ExportLogsServiceRequest] = []

    def Export(
        self, request: ExportLogsServiceRequest, context: grpc.ServicerContext
    ) -> ExportLogsServiceResponse:
        self.requests.append(request)
        return ExportLogsServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    server = grpc.server(ThreadPoolExecutor(2))
    keeping = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(keeping, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(keeping.logs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield keeping
    server.stop(None).wait(10)


def test_own_and_relayed_spans_arrive_by_grpc(collector: Collector):
    """In one batch, each under its own resource."""
    lane = build_span_lane(Resource({"service.name": "main"}))
    faults: list[BaseException] = []
    courier = Courier(lambda _, fault: faults.append(fault))
    courier.every(60, lane.export)
    own = FinishedSpan("process pay", CONSUMER, 1, 2, 0, 3, 4, {})
    theirs = encode_span(own._replace(name="SELECT"))
    lane.put(own)
    lane.put_encoded(Envelope({"service.name": "child"}, "db", "1").request([theirs]), 1)
    assert courier.flush(20) is True
    (request,) = collector.requests
    assert {
        by_resource.resource.attributes[0].value.string_value: span.name
        for by_resource in request.resource_spans
        for by_scope in by_resource.scope_spans
        for span in by_scope.spans
    } == {"main": "process pay", "child": "SELECT"}
    assert lane.counts() == Counts(2, {}, 0, 50_000)
    assert courier.stop(10)
    lane.close()
    assert faults == []


def test_log_records_arrive_by_grpc(collector: Collector, monkeypatch: pytest.MonkeyPatch):
    """The same message as by HTTP."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    resource = Resource({"service.name": "main"})
    lane = build_log_lane(resource)
    made = logging.LogRecord("shop", 20, "/app/tasks.py", 7, "paid", (), None, "pay")
    made.cart = 3
    part = encode_record(made, Running(1, 2, 1, "id-1", "shop.pay"), 5)
    lane.put_part(part + part, 2)
    assert lane.export(time.monotonic() + 20) is None
    assert lane.counts() == Counts(2, {}, 0, 50_000)
    lane.close()
    (request,) = collector.logs.requests
    (told,) = request.resource_logs
    expected = ExportLogsServiceRequest.FromString(LogEnvelope(resource.attributes).request([part]))
    assert told.resource == expected.resource_logs[0].resource
    (record, again) = told.scope_logs[0].log_records
    assert record == again == expected.resource_logs[0].scope_logs[0].log_records[0]
