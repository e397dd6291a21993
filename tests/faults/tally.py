"""What arrived, where it is far too much to be kept?

A receiver that counts spans by their ids, and keeps the newest value of each series that it is
asked for, apart for each process that began anew.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receiver import Received, Receiver
from tests.worker.harness import plain

INSTANCE, WORKER, TASK_ID = "service.instance.id", "celery.worker.name", "messaging.message.id"


class Series(NamedTuple):
    """One series of one process."""

    metric: str
    instance: str
    began: int
    attributes: frozenset[tuple[str, Any]]


class Tally:
    """Counts what it is given.

    Args:
        metrics: names of those whose values matter.
    """

    def __init__(self, *metrics: str) -> None:
        self.ids: Counter[bytes] = Counter()
        self.names: Counter[str] = Counter()
        self.tasks: dict[str, Counter[str]] = defaultdict(Counter)
        """Ids of messages whose process spans a worker told, by the worker."""
        self.away = False
        """Is nobody there? Then a connection ends without an answer."""
        self._metrics = metrics
        self._newest: dict[Series, tuple[int, float]] = {}
        self._lock = threading.Lock()

    @property
    def twice(self) -> int:
        """How many spans came more than once?"""
        return sum(count > 1 for count in self.ids.values())

    def take(self, request: Received) -> None:
        """Count one request."""
        if request.path.endswith("/v1/traces"):
            self.traces(ExportTraceServiceRequest.FromString(request.body))
        elif request.path.endswith("/v1/metrics"):
            self.points(ExportMetricsServiceRequest.FromString(request.body))

    def traces(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            for by_resource in request.resource_spans:
                worker = plain(by_resource.resource.attributes).get(WORKER, "")
                for span in (one for scope in by_resource.scope_spans for one in scope.spans):
                    self.ids[span.span_id] += 1
                    self.names[span.name] += 1
                    if span.kind == span.SPAN_KIND_CONSUMER:
                        self.tasks[worker][plain(span.attributes)[TASK_ID]] += 1

    def points(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            for by_resource in request.resource_metrics:
                instance = plain(by_resource.resource.attributes).get(INSTANCE, "")
                for metric in (one for sc in by_resource.scope_metrics for one in sc.metrics):
                    if metric.name in self._metrics:
                        self._point(metric, instance)

    def _point(self, metric: Any, instance: str) -> None:
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            attributes = frozenset(plain(point.attributes).items())
            series = Series(metric.name, instance, point.start_time_unix_nano, attributes)
            value = point.time_unix_nano, point.as_int or point.as_double
            # Two exports of one process may overtake each other.
            self._newest[series] = max(self._newest.get(series, value), value)

    def sums(self, metric: str, **attributes: str) -> Counter[str]:
        """Return a counter by instance; of attributes, dots are written as double underscores."""
        wanted = {(key.replace("__", "."), value) for key, value in attributes.items()}
        found: Counter[str] = Counter()
        for series, (_, value) in list(self._newest.items()):
            if series.metric == metric and wanted <= series.attributes:
                found[series.instance] += int(value)
        return found

    def total(self, metric: str, **attributes: str) -> int:
        """Return a counter over all instances."""
        return sum(self.sums(metric, **attributes).values())


class _Passed(list[Received]):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def append(self, request: Received) -> None:
        if self._tally.away:
            raise ConnectionAbortedError
        self._tally.take(request)


@contextmanager
def tallying(tally: Tally) -> Iterator[Receiver]:
    """Run a receiver that keeps nothing but a tally."""
    receiver = Receiver()
    receiver.received = _Passed(tally)
    try:
        yield receiver
    finally:
        receiver.close()
