"""Hand-made OTLP for the tests of the command: what exporters would send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_celery import conventions as c
from otel_celery.view.records import Span
from otel_celery.view.store import Store

NOW = 1_700_000_000.0
WORKER, WEB = ("shop-worker", "celery@host"), ("shop-web", "web-1")
KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def nanoseconds(instant: float) -> int:
    """Return Unix nanoseconds, exact for binary fractions of a second near NOW."""
    return int(NOW) * 10**9 + round((instant - NOW) * 1e9)


def value(plain: object) -> AnyValue:
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    return AnyValue(string_value=str(plain))


def pairs(attributes: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(plain)) for key, plain in attributes.items()]


def resource(owner: tuple[str, str]) -> Resource:
    service, instance = owner
    return Resource(attributes=pairs({"service.name": service, "service.instance.id": instance}))


def number(
    metric: c.Metric, amount: float, attributes: Mapping[str, object], at: float = NOW
) -> Metric:
    """Return a point of a counter or gauge."""
    made = Metric(name=metric.name)
    points = made.gauge if metric.kind.endswith("gauge") else made.sum
    point = NumberDataPoint(attributes=pairs(attributes), time_unix_nano=nanoseconds(at))
    if isinstance(amount, int):
        point.as_int = amount
    else:
        point.as_double = amount
    points.data_points.append(point)
    return made


def histogram(
    metric: c.Metric,
    counts: Sequence[int],
    bounds: Sequence[float],
    attributes: Mapping[str, object],
    at: float = NOW,
) -> Metric:
    point = HistogramDataPoint(
        attributes=pairs(attributes),
        time_unix_nano=nanoseconds(at),
        count=sum(counts),
        bucket_counts=counts,
        explicit_bounds=bounds,
    )
    made = Metric(name=metric.name)
    made.histogram.data_points.append(point)
    return made


def metrics(owner: tuple[str, str], *rows: Metric) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add(resource=resource(owner))
    resource_metrics.scope_metrics.add(metrics=rows)
    return request


def traces(*spans: Span) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for span in spans:
        resource_spans = request.resource_spans.add(resource=resource((span.service, "i")))
        sent = resource_spans.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_id),
            name=span.name,
            kind=KINDS[span.kind],
            start_time_unix_nano=nanoseconds(span.start),
            end_time_unix_nano=nanoseconds(span.end),
            attributes=pairs(span.attributes),
        )
        if span.failure:
            names = (c.EXCEPTION_TYPE, c.EXCEPTION_MESSAGE, c.EXCEPTION_STACKTRACE)
            told = dict(zip(names, span.failure, strict=True))
            sent.events.add(name=c.EXCEPTION, attributes=pairs(told))
        for trace_id, span_id in span.links:
            sent.links.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id))
        if span.error:
            sent.status.code = 2
            sent.status.message = span.error
    return request


def span(
    span_id: int,
    name: str,
    kind: str,
    times: tuple[float, float],
    *,
    parent: int = 0,
    service: str = "shop-worker",
    error: str = "",
    trace: int = 1,
) -> Span:
    """Return a span; its times are seconds after NOW."""
    parent_id = f"{parent:016x}" if parent else ""
    start, end = times
    ids = f"{trace:032x}", f"{span_id:016x}", parent_id
    return Span(*ids, name, kind, NOW + start, NOW + end, service, error)


ORDER = (
    span(1, "POST /orders/invoice", "server", (0.0, 1 / 64), service="shop-web"),
    span(2, "publish pay", "producer", (1 / 512, 1 / 128), parent=1, service="shop-web"),
    span(3, "process pay", "consumer", (0.5, 0.875), parent=2, error="ValueError: no"),
    span(4, "ask the bank", "client", (0.625, 0.75), parent=3),
)
"""A complete trace: caller, publish, process, and what the task did."""

PAY = {c.MESSAGING_SYSTEM: "redis", c.QUEUE: "orders", c.TASK_NAME: "pay"}


def outcome(state: str, amount: int, *, expected: bool = False) -> Metric:
    attributes: dict[str, object] = {**PAY, c.TASK_STATE: state}
    if expected:
        attributes[c.TASK_EXPECTED] = True
    return number(c.OUTCOMES, amount, attributes)


def filled() -> Store:
    """Return a store as a small day leaves it: 10 sent, 6 ended, 3 wait, 1 runs."""
    store = Store()
    store.add_traces(traces(*ORDER))
    store.add_metrics(metrics(WEB, number(c.SENT_MESSAGES, 8, PAY)))
    store.add_metrics(
        metrics(
            WORKER,
            number(c.SENT_MESSAGES, 2, PAY),
            number(c.SENT_MESSAGES, 1, {**PAY, c.ERROR_TYPE: "OSError"}),
            number(c.CONSUMED_MESSAGES, 8, {c.QUEUE: "orders"}),
            number(c.CONSUMED_MESSAGES, 1, {c.QUEUE: "orders", c.TASK_REDELIVERED: True}),
            outcome(c.SUCCESS, 3),
            outcome(c.FAILURE, 1),
            outcome(c.FAILURE, 1, expected=True),
            outcome(c.RETRY, 1),
            outcome(c.REQUEUED, 1),
            number(c.TASK_COUNT, 1, {c.HELD_STATE: "active"}),
            number(c.TASK_COUNT, 0, {c.HELD_STATE: "reserved"}),
            number(c.TASK_COUNT, 1, {c.HELD_STATE: "scheduled"}),
            number(c.QUEUE_DEPTH, 2, {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}),
            number(c.QUEUE_DEPTH, 1, {c.QUEUE: "orders", c.QUEUE_STATE: "unacked"}),
            number(c.OLDEST_MESSAGE, 1.5, {c.QUEUE: "orders"}),
            number(c.POOL_LIMIT, 4, {c.POOL_TYPE: "prefork"}),
            number(c.PROCESS_EXITS, 2, {c.EXIT_REASON: "signal"}),
            number(c.WORKER_HEARTBEAT, NOW - 3, {}),
            histogram(c.QUEUE_WAIT, [4, 2, 1], [0.1, 1.0], PAY),
            histogram(c.PROCESS_DURATION, [5, 2, 0], [0.1, 1.0], PAY),
        )
    )
    return store
