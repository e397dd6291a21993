"""Is a worker that is replayed another one, and does it send what the recorded one sent?"""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.double import SECOND_NS, Double, Pattern
from benchmarks.recording import NAME, Recording
from benchmarks.replay import Plan, replay
from tests.collector.collectors import attributes
from tests.receiver import receiving

BEGAN_NS = 1_700_000_000 * SECOND_NS
NOW_NS = 1_800_000_000 * SECOND_NS


def recording() -> Recording:
    """Return a worker with one gauge, and a second with a publish span and its process span."""
    metrics = ExportMetricsServiceRequest()
    by_worker = metrics.resource_metrics.add()
    by_worker.resource.attributes.extend(attributes({"service.instance.id": f"celery@{NAME}"}))
    gauge = by_worker.scope_metrics.add().metrics.add(name="celery.worker.heartbeat.timestamp")
    gauge.gauge.data_points.add(as_int=7, time_unix_nano=BEGAN_NS)
    traces = ExportTraceServiceRequest()
    spans = traces.resource_spans.add().scope_spans.add().spans
    for number in (1, 2):
        span = spans.add(trace_id=b"t" * 15 + b"1", span_id=b"s" * 7 + bytes([number]))
        span.start_time_unix_nano = BEGAN_NS + number
        span.end_time_unix_nano = BEGAN_NS + SECOND_NS // 2
        span.attributes.extend(attributes({"celery.worker.name": f"celery@{NAME}"}))
    spans[1].parent_span_id = spans[0].span_id
    return Recording(metrics.SerializeToString(), [traces.SerializeToString()], BEGAN_NS)


def spans_of(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return list(request.resource_spans[0].scope_spans[0].spans)


@pytest.fixture
def pattern() -> Pattern:
    return Pattern(recording())


def test_a_double_sends_the_metrics_under_its_own_name_now(pattern: Pattern) -> None:
    body, points = Double(pattern, 12).metrics(NOW_NS)
    sent = ExportMetricsServiceRequest.FromString(body).resource_metrics[0]
    assert points == 1
    assert list(sent.resource.attributes) == attributes({"service.instance.id": "celery@w0000012"})
    point: Any = sent.scope_metrics[0].metrics[0].gauge.data_points[0]
    assert (point.as_int, point.time_unix_nano) == (7, NOW_NS)


def test_the_trace_of_a_double_is_a_whole_one_of_its_own(pattern: Pattern) -> None:
    """Other ids in each worker and each turn; parents stay parents, and lengths what they were."""
    one, other = Double(pattern, 1), Double(pattern, 2)
    turns = [spans_of(double.traces(NOW_NS)[0]) for double in (one, one, other)]
    assert len({publish.trace_id for publish, _ in turns}) == 3
    for publish, process in turns:
        assert process.trace_id == publish.trace_id
        assert process.parent_span_id == publish.span_id
        assert publish.start_time_unix_nano == NOW_NS - SECOND_NS + 1
        assert publish.end_time_unix_nano == NOW_NS - SECOND_NS // 2


def test_what_was_replayed_is_what_came() -> None:
    """From every worker once, by its own name, and all of it is counted."""
    with receiving() as collector:
        told = replay(recording(), Plan(collector.url, 3, every=0, seconds=0.2, at_once=True))
        names = {one.body[one.body.index(b"celery@") :][:15] for one in collector.received}
    assert names == {b"celery@w0000000", b"celery@w0000001", b"celery@w0000002"}
    assert (told["requests"], told["refused"], told["points"]) == (3, 0, 3)
