"""Both lanes of metrics tell whoever exports the same, whatever is recorded."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableGauge, UpDownCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import (
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
)
from opentelemetry.sdk.resources import Resource

from otel_celery import conventions as c
from otel_celery.envelope import Trace
from otel_celery.sdk.driven import Driven
from otel_celery.sdk.metrics import Metering
from tests.unit.stand_ins import LANES, OWN, KeepingMetrics

RESOURCE = Resource({"service.name": "shop"}, "https://example/schema")
COUNTERS = (c.OUTCOMES, c.CONSUMED_MESSAGES, c.OVERFLOWS)
HISTOGRAMS = (c.PROCESS_DURATION, c.QUEUE_WAIT, c.LATENESS)
DELTA = AggregationTemporality.DELTA


class Lane:
    """The metrics of a process that two exporters read, by one lane.

    The second one begins later, so that exemplars are not told to both at once.
    """

    def __init__(self, lane: str) -> None:
        self.exporters = [KeepingMetrics(), KeepingMetrics()]
        self.metering = Metering(RESOURCE, [Driven(exporter) for exporter in self.exporters])
        assert self.metering.cells is not None
        if lane == "reference":
            self.metering.cells = None
        self.instruments = self.metering.instruments()

    def add(self, metric: c.Metric, values: Any, amount: float) -> None:
        self.instruments.counters(metric)[values].add(amount)

    def record(self, metric: c.Metric, values: Any, value: float, trace: Trace | None) -> None:
        self.instruments.histograms(metric)[values].record(value, trace)

    def observe(self, metric: c.Metric) -> None:
        self.instruments.observe(metric, lambda: [(3, {})])

    def settle(self) -> None:
        self.instruments.settle()

    def read(self, number: int) -> MetricsData | None:
        """Have one exporter export, and return what it was given."""
        self.settle()  # as after each slice
        reader, exporter = self.metering.pushed[number], self.exporters[number]
        exporter.exported.clear()
        with self.metering.gate:
            reader.read()
        reader.export(30.0)
        return timeless(exporter.exported[0]) if exporter.exported else None


def timeless(data: MetricsData) -> MetricsData:
    """Return the same without instants, which must make sense, and in the order of names.

    In which order metrics stand within their scope, and points within a metric, has no meaning.
    """
    (of_resource,) = data.resource_metrics
    scopes = []
    for scope in of_resource.scope_metrics:
        metrics = []
        for metric in sorted(scope.metrics, key=lambda metric: metric.name):
            points = []
            for point in sorted(metric.data.data_points, key=lambda point: str(point.attributes)):
                start = point.start_time_unix_nano
                assert start is None or 0 < start <= point.time_unix_nano
                exemplars = []
                for exemplar in point.exemplars:
                    assert 0 < exemplar.time_unix_nano <= point.time_unix_nano
                    exemplars.append(replace(exemplar, time_unix_nano=0))
                points.append(
                    replace(
                        point,
                        start_time_unix_nano=start and 1,
                        time_unix_nano=2,
                        exemplars=exemplars,
                    )
                )
            metrics.append(replace(metric, data=replace(metric.data, data_points=points)))
        scopes.append(replace(scope, metrics=metrics))
    return MetricsData([replace(of_resource, scope_metrics=scopes)])


@pytest.fixture
def quiet() -> Iterator[None]:
    """The SDK warns of each thing that it leaves out, and so do we."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


names = st.sampled_from(["redis", "mail", "shop.pay", "ü", "_OTHER"])
# Sums of these are exact in any order: the SDK adds up each interval first, cells do not.
durations = st.integers(0, 8_000_000).map(lambda n: n / 1024) | st.sampled_from(
    [0.0, 0.25, 2.5, 5.0, 3600.0, -1.0, -0.5, math.inf, math.nan]
)
traces = st.none() | st.builds(
    lambda number, sampled: Trace(f"{number:032x}", f"{number:016x}", sampled),
    st.integers(1, 2**60),
    st.booleans(),
)


def values(metric: c.Metric) -> st.SearchStrategy[Any]:
    """Few, so that much is of one series, or any."""
    said = {c.TASK_EXPECTED: st.just(True), c.TASK_REDELIVERED: st.just(True)}
    few = st.sampled_from([None, "mail"]).map(lambda name: (name,) * len(metric.keys))
    return few | few | st.tuples(*(st.none() | said.get(key, names) for key in metric.keys))


def steps(kind: str, rows: Any, *more: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(rows).flatmap(
        lambda row: st.tuples(st.just(kind), st.tuples(st.just(row), values(row), *more))
    )


streams = st.lists(
    steps("add", COUNTERS, st.integers(0, 1000))
    | steps("record", HISTOGRAMS, durations, traces)
    | st.tuples(st.just("observe"), st.tuples(st.just(c.BACKLOG)))
    | st.tuples(st.just("read"), st.tuples(st.sampled_from([0, 1])))
    | st.just(("settle", ())),
    min_size=20,  # so that much meets in one series
    max_size=60,
)


@pytest.mark.newest_sdk
@pytest.mark.usefixtures("quiet")
@settings(max_examples=100)
@given(streams)
def test_both_lanes_tell_the_same(stream: list[tuple[str, tuple[Any, ...]]]):
    """As objects, as OTLP and on the console, to each exporter when it asks."""
    cells, reference = (Lane(name) for name in LANES)
    for step, given_to in [*stream, ("read", (0,)), ("read", (1,))]:
        ours, theirs = (getattr(lane, step)(*given_to) for lane in (cells, reference))
        assert ours == theirs
        if step == "read" and ours is not None:
            assert encode_metrics(ours) == encode_metrics(theirs)  # knows 1 from 1.0
            assert ours.to_json() == theirs.to_json()


@pytest.mark.newest_sdk
def test_both_lanes_have_the_same_limit_of_series():
    """The SDK's, which nobody has changed."""
    told = []
    for name in LANES:
        lane = Lane(name)
        for number in range(2005):
            lane.add(c.PROCESS_EXITS, (str(number),), number)
            lane.record(c.LATENESS, (str(number),), 1.0, OWN)
        told.append(lane.read(0))
    assert told[0] == told[1]
    assert told[0] is not None
    for metric in told[0].resource_metrics[0].scope_metrics[0].metrics:
        assert len(metric.data.data_points) == 2001


def preferring(**preferred: Any) -> Callable[[], KeepingMetrics]:
    return lambda: KeepingMetrics(
        **{f"preferred_{key}": dict([chosen]) for key, chosen in preferred.items()}
    )


TAKEN = [
    pytest.param(KeepingMetrics, id="no-preference"),
    pytest.param(OTLPMetricExporter, id="otlp"),
    pytest.param(ConsoleMetricExporter, id="console"),
    pytest.param(preferring(temporality=(UpDownCounter, DELTA)), id="delta-of-what-cells-are-not"),
    pytest.param(preferring(aggregation=(Histogram, DefaultAggregation())), id="default"),
    pytest.param(
        preferring(aggregation=(Histogram, ExplicitBucketHistogramAggregation())), id="buckets"
    ),
    pytest.param(preferring(aggregation=(ObservableGauge, DropAggregation())), id="no-gauges"),
]
NOT_TAKEN = [
    pytest.param(preferring(temporality=(Counter, DELTA)), id="delta-counters"),
    pytest.param(preferring(temporality=(Histogram, DELTA)), id="delta-histograms"),
    pytest.param(
        preferring(aggregation=(Histogram, ExponentialBucketHistogramAggregation())),
        id="exponential",
    ),
    pytest.param(
        preferring(aggregation=(Histogram, ExplicitBucketHistogramAggregation([1.0]))),
        id="own-buckets",
    ),
    pytest.param(
        preferring(
            aggregation=(Histogram, ExplicitBucketHistogramAggregation(record_min_max=False))
        ),
        id="no-extremes",
    ),
    pytest.param(preferring(aggregation=(Counter, LastValueAggregation())), id="last-value"),
    pytest.param(preferring(aggregation=(Histogram, DropAggregation())), id="no-histograms"),
]


@pytest.mark.parametrize("make", TAKEN)
def test_cells_are_for_whoever_would_get_the_same_of_the_sdk(make: Callable[[], Any]):
    assert Metering(RESOURCE, [Driven(make())]).cells is not None


@pytest.mark.parametrize("make", NOT_TAKEN)
def test_what_cells_are_not_the_sdk_does_for_all(make: Callable[[], Any]):
    """One exporter that prefers something else: nobody is told anything twice, or not at all."""
    exporter, other = KeepingMetrics(), make()
    metering = Metering(RESOURCE, [Driven(exporter), Driven(other)])
    assert metering.cells is None
    metering.instruments().add(c.FAULTS, 2, {})
    metering.instruments().record(c.LATENESS, 2.0, {})
    metering.collect(math.inf)
    for each in (exporter, other):
        (metrics,) = (scope.metrics for scope in each.exported[0].resource_metrics[0].scope_metrics)
        told = {metric.name for metric in metrics}
        assert told | {c.LATENESS.name} == {c.FAULTS.name, c.LATENESS.name}
        assert len(metrics) == len(told)
    assert [point.value for point in metric_of(exporter, c.FAULTS)] == [2]


def metric_of(exporter: KeepingMetrics, row: c.Metric) -> list[Any]:
    """Return the points of a metric in the last export."""
    return [
        point
        for scope in exporter.exported[-1].resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == row.name
        for point in metric.data.data_points
    ]


def test_a_reader_of_somebody_else_gets_what_the_sdk_sums():
    """It is asked by its own user, and knows of no cells."""
    reader = InMemoryMetricReader()
    metering = Metering(RESOURCE, [Driven(KeepingMetrics())], [reader])
    assert metering.cells is None
    metering.instruments().add(c.FAULTS, 2, {})
    assert reader.get_metrics_data() is not None


@pytest.mark.parametrize(
    ("chosen", "cells", "sampled", "unsampled"),
    [
        pytest.param(None, True, 1, 0, id="default"),
        pytest.param("trace_based", True, 1, 0, id="trace-based"),
        pytest.param("always_off", True, 0, 0, id="always-off"),
        pytest.param("always_on", False, 1, 1, id="always-on"),
    ],
)
def test_the_variable_says_which_values_become_exemplars(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, cells: bool, sampled: int, unsampled: int
):
    if chosen:
        monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", chosen)
    exporter = KeepingMetrics()
    metering = Metering(RESOURCE, [Driven(exporter)])
    assert (metering.cells is not None) is cells
    instruments = metering.instruments()
    instruments.record(c.QUEUE_WAIT, 1.0, {}, OWN)
    instruments.record(c.LATENESS, 1.0, {}, OWN._replace(sampled=False))
    metering.collect(math.inf)
    found = [len(metric_of(exporter, row)[0].exemplars) for row in (c.QUEUE_WAIT, c.LATENESS)]
    assert found == [sampled, unsampled]


def test_what_was_read_and_not_exported_is_not_told_twice():
    """A stop that has no time left reads again at the next."""
    exporter = KeepingMetrics()
    metering = Metering(RESOURCE, [Driven(exporter)], clock=lambda: 100.0)
    metering.instruments().add(c.FAULTS, 1, {})
    metering.collect(100.0)
    metering.collect(103.0)
    assert [point.value for point in metric_of(exporter, c.FAULTS)] == [1]


def test_a_process_that_is_switched_on_again_begins_at_zero():
    """Cells belong to one provider, which ends with its exporter."""
    first, second = KeepingMetrics(), KeepingMetrics()
    earlier, later = (Metering(RESOURCE, [Driven(each)]) for each in (first, second))
    earlier.instruments().add(c.FAULTS, 5, {})
    later.instruments().add(c.FAULTS, 1, {})
    for metering in (earlier, later):
        metering.collect(math.inf)
    values = [metric_of(each, c.FAULTS)[0].value for each in (first, second)]
    assert values == [5, 1]
