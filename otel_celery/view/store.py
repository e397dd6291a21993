"""What telemetry has arrived, ready to be asked about, and how much of it is kept?"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_celery import conventions as c
from otel_celery.view.records import (
    SECOND,
    Histogram,
    Number,
    Series,
    Snapshot,
    Span,
    attributes,
    read_histogram,
    read_number,
    read_series,
    read_span,
)

SERVICE, INSTANCE = "service.name", "service.instance.id"
NAMES = frozenset(metric.name for metric in c.METRICS)
Point = TypeVar("Point", Number, Histogram)


@dataclass(frozen=True)
class Limits:
    """How much a store keeps; beyond it the oldest goes."""

    traces: int = 2000
    spans: int = 20_000
    span_bytes: int = 64 * 1024 * 1024
    """Of all spans together, as they were sent; a quarter of it is the most for one trace."""
    trace_spans: int = 5000
    """Of one trace: what comes later is dropped."""
    series: int = 10_000
    point_bytes: int = 16 * 1024
    """Of one point, as it was sent: a larger one is dropped."""


class Tally(NamedTuple):
    """How full a store is, and what it had to let go."""

    traces: int
    spans: int
    span_bytes: int
    series: int
    forgotten_traces: int
    dropped_spans: int
    dropped_points: int


@dataclass
class Kept:
    """The spans of one trace."""

    spans: dict[str, Span] = field(default_factory=dict)
    size: int = 0


class Store:
    """Spans by trace, and the newest cumulative point of every series of our catalogue.

    Written by the receiver's threads, read as snapshots. A span that arrives twice (an exporter
    that tried again) is one span; a point older than the one held is dropped. A counter goes on
    where it stood when its process begins anew, so that a worker may be restarted. Histograms
    with exponential buckets are not kept.

    Args:
        limits: of memory. The trace that began to arrive first leaves first, and the series that
            was not told for the longest time.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._traces: OrderedDict[str, Kept] = OrderedDict()
        self._numbers: dict[Series, Number] = {}
        self._histograms: dict[Series, Histogram] = {}
        # Begin of the process that counts, and what those before it had counted; stalest first.
        self._began: OrderedDict[Series, tuple[float, Any]] = OrderedDict()
        self._spans = self._bytes = self._forgotten = 0
        self._dropped_spans = self._dropped_points = 0

    def snapshot(self) -> Snapshot:
        with self._lock:
            traces = {trace_id: dict(kept.spans) for trace_id, kept in self._traces.items()}
            return Snapshot(dict(self._numbers), dict(self._histograms), traces)

    def tally(self) -> Tally:
        with self._lock:
            return Tally(
                traces=len(self._traces),
                spans=self._spans,
                span_bytes=self._bytes,
                series=len(self._began),
                forgotten_traces=self._forgotten,
                dropped_spans=self._dropped_spans,
                dropped_points=self._dropped_points,
            )

    def add_traces(self, request: ExportTraceServiceRequest) -> None:
        spans = [
            (read_span(span, service), span.ByteSize())
            for by_resource in request.resource_spans
            for service in [str(attributes(by_resource.resource.attributes).get(SERVICE, ""))]
            for by_scope in by_resource.scope_spans
            for span in by_scope.spans
        ]
        with self._lock:
            for span, size in spans:
                self._add_span(span, size)

    def _add_span(self, span: Span, size: int) -> None:
        kept = self._traces.get(span.trace_id, Kept())
        if span.span_id in kept.spans:
            return
        limits = self.limits
        if len(kept.spans) >= limits.trace_spans or kept.size + size > limits.span_bytes // 4:
            self._dropped_spans += 1
            return
        self._traces.setdefault(span.trace_id, kept)
        kept.spans[span.span_id] = span
        kept.size += size
        self._spans += 1
        self._bytes += size
        while (
            len(self._traces) > limits.traces
            or self._spans > limits.spans
            or self._bytes > limits.span_bytes
        ):
            _, oldest = self._traces.popitem(last=False)
            self._spans -= len(oldest.spans)
            self._bytes -= oldest.size
            self._forgotten += 1

    def add_metrics(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            for resource_metrics in request.resource_metrics:
                resource = attributes(resource_metrics.resource.attributes)
                owner = str(resource.get(SERVICE, "")), str(resource.get(INSTANCE, ""))
                for scope_metrics in resource_metrics.scope_metrics:
                    for metric in scope_metrics.metrics:
                        if metric.name in NAMES:
                            self._add_metric(metric, *owner)
            while len(self._began) > self.limits.series:
                stalest, _ = self._began.popitem(last=False)
                self._numbers.pop(stalest, None)
                self._histograms.pop(stalest, None)
                self._dropped_points += 1

    def _add_metric(self, metric: Metric, service: str, instance: str) -> None:
        for point in (*metric.sum.data_points, *metric.gauge.data_points):
            number = read_number(point)
            if not math.isfinite(number.value) or point.ByteSize() > self.limits.point_bytes:
                self._dropped_points += 1
                continue
            began = point.start_time_unix_nano / SECOND if metric.sum.is_monotonic else 0.0
            series = read_series(metric.name, point, service, instance)
            self._keep(self._numbers, series, number, began)
        for bars in metric.histogram.data_points:
            histogram = read_histogram(bars)
            fits = len(histogram.counts) in (0, len(histogram.bounds) + 1)
            if not (fits and math.isfinite(histogram.total)) or (
                bars.ByteSize() > self.limits.point_bytes
            ):
                self._dropped_points += 1
                continue
            series = read_series(metric.name, bars, service, instance)
            self._keep(self._histograms, series, histogram, bars.start_time_unix_nano / SECOND)

    def _keep(
        self, held: MutableMapping[Series, Point], series: Series, point: Point, began: float
    ) -> None:
        since, carried = self._began.get(series, (began, None))
        before = held.get(series)
        if before is not None and (point.at < before.at or began < since):
            return  # it was overtaken
        if before is not None and began > since:
            carried = before
        held[series] = point if carried is None else carried + point
        self._began[series] = began, carried
        self._began.move_to_end(series)
