"""What telemetry has arrived, ready to be asked about?"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.trace.v1 import trace_pb2

SERVICE, INSTANCE = "service.name", "service.instance.id"
KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
SECOND = 10**9  # nanoseconds; whole, so that division is exact to the last bit


class Span(NamedTuple):
    """A span as it arrived; instants are Unix seconds, ids are hexadecimal."""

    trace_id: str
    span_id: str
    parent_id: str  # empty: a root
    name: str
    kind: str
    start: float
    end: float
    service: str
    error: str = ""  # empty: no error status; else its description or "error"
    attributes: Mapping[str, object] = {}


class Series(NamedTuple):
    """What tells one stream of points from another."""

    name: str
    attributes: frozenset[tuple[str, object]]
    service: str
    instance: str  # service.instance.id

    def get(self, key: str) -> object:
        """Return the attribute's value, None when the series has none."""
        return next((value for name, value in self.attributes if name == key), None)


class Number(NamedTuple):
    """The latest value of a counter or gauge, and when it was true."""

    value: float
    at: float


@dataclass(frozen=True)
class Histogram:
    """The latest cumulative state of a histogram: one count more than bounds."""

    count: int
    total: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    at: float


class Snapshot(NamedTuple):
    """All that was known at one moment; nothing in it changes any more."""

    numbers: Mapping[Series, Number]
    histograms: Mapping[Series, Histogram]
    traces: Mapping[str, Mapping[str, Span]]  # trace id -> span id -> span


class Store:
    """Spans by trace, and the newest cumulative point of every series.

    Written by the receiver's threads, read as snapshots. A span that arrives twice (an exporter
    that tried again) is one span; a point older than the one held is dropped. Histograms with
    exponential buckets are not kept.

    Args:
        max_traces: traces held; the one that began to arrive first leaves first.
    """

    def __init__(self, max_traces: int = 2000) -> None:
        self._lock = threading.Lock()
        self._max_traces = max_traces
        self._traces: OrderedDict[str, dict[str, Span]] = OrderedDict()
        self._numbers: dict[Series, Number] = {}
        self._histograms: dict[Series, Histogram] = {}

    def snapshot(self) -> Snapshot:
        with self._lock:
            traces = {trace_id: dict(spans) for trace_id, spans in self._traces.items()}
            return Snapshot(dict(self._numbers), dict(self._histograms), traces)

    def add_traces(self, request: ExportTraceServiceRequest) -> None:
        spans = [
            read_span(span, str(attributes(resource_spans.resource.attributes).get(SERVICE, "")))
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]
        with self._lock:
            for span in spans:
                self._traces.setdefault(span.trace_id, {})[span.span_id] = span
            while len(self._traces) > self._max_traces:
                self._traces.popitem(last=False)

    def add_metrics(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            for resource_metrics in request.resource_metrics:
                resource = attributes(resource_metrics.resource.attributes)
                owner = str(resource.get(SERVICE, "")), str(resource.get(INSTANCE, ""))
                for scope_metrics in resource_metrics.scope_metrics:
                    for metric in scope_metrics.metrics:
                        self._add(metric, *owner)

    def _add(self, metric: Metric, service: str, instance: str) -> None:
        for point in (*metric.sum.data_points, *metric.gauge.data_points):
            series = read_series(metric.name, point, service, instance)
            number = read_number(point)
            if series not in self._numbers or self._numbers[series].at <= number.at:
                self._numbers[series] = number
        for histogram_point in metric.histogram.data_points:
            series = read_series(metric.name, histogram_point, service, instance)
            histogram = read_histogram(histogram_point)
            if series not in self._histograms or self._histograms[series].at <= histogram.at:
                self._histograms[series] = histogram


def read_span(span: trace_pb2.Span, service: str) -> Span:
    failed = span.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, "internal"),
        start=span.start_time_unix_nano / SECOND,
        end=span.end_time_unix_nano / SECOND,
        service=service,
        error=(span.status.message or "error") if failed else "",
        attributes=attributes(span.attributes),
    )


def read_series(
    name: str, point: NumberDataPoint | HistogramDataPoint, service: str, instance: str
) -> Series:
    return Series(name, frozenset(attributes(point.attributes).items()), service, instance)


def read_number(point: NumberDataPoint) -> Number:
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return Number(value, point.time_unix_nano / SECOND)


def read_histogram(point: HistogramDataPoint) -> Histogram:
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    return Histogram(point.count, point.sum, bounds, counts, point.time_unix_nano / SECOND)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: read_value(pair.value) for pair in pairs}


def read_value(value: AnyValue) -> object:
    """Return the value as Python knows it; lists become tuples, so that all can be keys."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return tuple(read_value(item) for item in value.array_value.values)
    if kind == "kvlist_value":
        return tuple((pair.key, read_value(pair.value)) for pair in value.kvlist_value.values)
    return getattr(value, kind)
