"""How do cells become points of the SDK, beside those that it has collected itself?

So that whoever exports, be it OTLP, Prometheus, the console or an exporter of the user's, sees one
stream and cannot tell who has summed it. A test holds both lanes equal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from opentelemetry.sdk.metrics import Counter, Exemplar
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import DefaultAggregation, ExplicitBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_celery import __version__
from otel_celery import conventions as c
from otel_celery.cells import Cells, HistogramCell, Kept, attributes_of

SCOPE = InstrumentationScope(c.SCOPE, __version__, c.SCHEMA_URL)
_CUMULATIVE = AggregationTemporality.CUMULATIVE


def takes_cells(exporter: MetricExporter) -> bool:
    """Would the SDK make of our instruments, for this exporter, just what cells are?

    Cumulative sums, and buckets as the catalogue advises. Whatever is preferred instead, such as
    delta temporality, exponential histograms or an aggregation of somebody's own, the SDK does.
    """
    temporality = exporter._preferred_temporality or {}
    aggregation = exporter._preferred_aggregation or {}
    for instrument in (Counter, HistogramInstrument):
        made = aggregation.get(instrument, DefaultAggregation())
        usual = type(made) in (DefaultAggregation, ExplicitBucketHistogramAggregation)
        if not usual or vars(made) != vars(type(made)()):  # with bounds of its own, for instance
            return False
        if temporality.get(instrument, _CUMULATIVE) is not _CUMULATIVE:
            return False
    return True


class CellPoints:
    """The cells as one reader is told of them.

    Args:
        cells: of the process.
        resource: of the process, for a reading in which the SDK had nothing to tell.
        exemplars: whether they are wanted.
    """

    def __init__(self, cells: Cells, resource: Resource, exemplars: bool = True) -> None:
        self._cells, self._resource, self._exemplars = cells, resource, exemplars
        self._told: dict[HistogramCell, tuple[Kept | None, ...]] = {}

    def added_to(self, read: MetricsData | None) -> MetricsData | None:
        """Return what the SDK has read, with the cells; whoever calls holds the gate."""
        ours = [*self._sums(), *self._histograms()]
        if not ours:
            return read
        if read is None:
            read = MetricsData([ResourceMetrics(self._resource, [], self._resource.schema_url)])
        first, *others = read.resource_metrics
        scopes = {each.scope: each for each in first.scope_metrics}
        scope = scopes.get(SCOPE) or ScopeMetrics(SCOPE, [], c.SCHEMA_URL)
        scopes[SCOPE] = replace(scope, metrics=[*scope.metrics, *ours])
        return MetricsData([replace(first, scope_metrics=list(scopes.values())), *others])

    def _sums(self) -> Iterator[Metric]:
        now = time.time_ns()
        for metric, row in self._cells.counting.items():
            points = [
                NumberDataPoint(cell.attributes, cell.since_ns, now, cell.value)
                for cell in row.cells()
            ]
            if points:
                data = Sum(points, _CUMULATIVE, is_monotonic=True)
                yield Metric(metric.name, metric.description, metric.unit, data)

    def _histograms(self) -> Iterator[Metric]:
        now = time.time_ns()
        for metric, row in self._cells.recording.items():
            points = [
                HistogramDataPoint(
                    cell.attributes,
                    cell.since_ns,
                    now,
                    count,
                    cell.sum,
                    tuple(cell.buckets),
                    cell.bounds,
                    cell.smallest,
                    cell.largest,
                    self._new_exemplars(metric, cell) if self._exemplars else [],
                )
                for cell in row.cells()
                if (count := sum(cell.buckets))  # else all that it was given was left out
            ]
            if points:
                yield Metric(
                    metric.name, metric.description, metric.unit, Histogram(points, _CUMULATIVE)
                )

    def _new_exemplars(self, metric: c.Metric, cell: HistogramCell) -> list[Exemplar]:
        """Return those that this reader has not been told of."""
        kept = tuple(cell.exemplars)
        told = self._told.get(cell, ())
        self._told[cell] = kept
        return [
            _exemplar(metric, cell, each)
            for each, before in zip_longest(kept, told)
            if each is not None and each is not before
        ]


def _exemplar(metric: c.Metric, cell: HistogramCell, kept: Kept) -> Exemplar:
    value, at_ns, trace, values = kept
    attributes = attributes_of(metric, values) if values else {}
    return Exemplar(
        attributes if cell.attributes or attributes else None,  # as the SDK has it
        value,
        at_ns,
        int(trace.span_id, 16),
        int(trace.trace_id, 16),
    )
