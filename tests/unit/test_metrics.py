"""How does a number become a point of a metric in the catalogue?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.trace import NonRecordingSpan, use_span

from otel_celery import conventions as c
from otel_celery.metrics import Instruments
from otel_celery.sampling import span_context
from tests.unit.stand_ins import LANES, OWN, Readings


@pytest.fixture(params=LANES)
def readings(request: pytest.FixtureRequest) -> Iterator[Readings]:
    """One for each test and lane; no thread, no global."""
    made = Readings(request.param)
    yield made
    made.provider.shutdown()


def told(readings: Readings, metric: c.Metric) -> list[tuple[dict[str, Any], float]]:
    """Collect, and return (attributes, value) of one metric."""
    return [(dict(point.attributes), point.value) for point in readings.points(metric)]


def test_counts_of_one_series_add_up(readings):
    """And series differ by their attributes."""
    for queue in ("mail", "mail", "video"):
        readings.instruments.add(c.CONSUMED_MESSAGES, 1, {c.QUEUE: queue})
    assert sorted(told(readings, c.CONSUMED_MESSAGES), key=str) == [
        ({c.QUEUE: "mail"}, 2),
        ({c.QUEUE: "video"}, 1),
    ]


def test_what_is_none_is_left_out(readings):
    """An absent error is no key, not an empty one."""
    attributes = {c.QUEUE: "mail", c.ERROR_TYPE: None, c.TASK_EXPECTED: None}
    readings.instruments.add(c.OUTCOMES, 1, attributes)
    assert told(readings, c.OUTCOMES) == [({c.QUEUE: "mail"}, 1)]


def test_a_series_can_begin_at_zero(readings):
    """So that the first failure is an increase."""
    key = {c.TASK_NAME: "a", c.TASK_STATE: c.FAILURE}
    readings.instruments.zero(c.OUTCOMES, key)
    assert told(readings, c.OUTCOMES) == [(key, 0)]


def test_a_histogram_has_the_buckets_of_its_row(readings):
    """Name, unit, description and bounds come from the catalogue."""
    readings.instruments.record(c.QUEUE_WAIT, 61.0, {c.QUEUE: "mail"})
    (metric,) = readings.metrics()
    (point,) = metric.data.data_points
    assert (metric.unit, metric.description) == (c.QUEUE_WAIT.unit, c.QUEUE_WAIT.description)
    assert point.explicit_bounds == c.DURATION_BUCKETS
    assert (point.sum, point.bucket_counts[c.DURATION_BUCKETS.index(300.0)]) == (61.0, 1)


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_the_trace_is_where_the_exemplar_leads_to(readings, sampled):
    """An unsampled one leads nowhere and gives none."""
    readings.instruments.record(c.PROCESS_DURATION, 1.0, {}, OWN._replace(sampled=sampled))
    (point,) = readings.points(c.PROCESS_DURATION)
    expected = [int(OWN.trace_id, 16)] if sampled else []
    assert [exemplar.trace_id for exemplar in point.exemplars] == expected


def test_a_span_of_whoever_flushes_is_no_exemplar(readings):
    """Facts are told in the caller's thread at the end, and in a test of the user's."""
    span = NonRecordingSpan(span_context(OWN))
    with use_span(span):
        readings.instruments.record(c.PROCESS_DURATION, 1.0, {})
        readings.instruments.record(c.PROCESS_DURATION, 1.0, {}, OWN._replace(sampled=False))
        readings.instruments.add(c.OUTCOMES, 1, {})
    assert [p.exemplars for p in readings.points(c.PROCESS_DURATION)] == [[]]
    readings.instruments.add(c.OUTCOMES, 1, {})
    assert [p.exemplars for p in readings.points(c.OUTCOMES)] == [[]]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-0.001, id="negative"),
        pytest.param(math.inf, id="infinite", marks=pytest.mark.newest_sdk),
        pytest.param(math.nan, id="no-number", marks=pytest.mark.newest_sdk),
    ],
)
def test_what_is_no_duration_is_left_out(readings, value, caplog):
    """And said in the log."""
    readings.instruments.record(c.QUEUE_WAIT, 1.0, {})
    readings.instruments.record(c.QUEUE_WAIT, value, {})
    (point,) = readings.points(c.QUEUE_WAIT)
    assert (point.count, point.sum, point.min, point.max) == (1, 1.0, 1.0, 1.0)
    assert len(caplog.records) == 1


def test_the_same_attributes_are_the_same_series_in_any_order(readings):
    """And the points have them in the order of the catalogue."""
    key = {c.QUEUE: "mail", c.TASK_NAME: "a"}
    for attributes in (key, dict(reversed(key.items()))):
        readings.instruments.add(c.OUTCOMES, 1, attributes)
    ((attributes, value),) = told(readings, c.OUTCOMES)
    assert (list(attributes), value) == ([c.QUEUE, c.TASK_NAME], 2)


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(row, id=row.name)
        for row in c.METRICS
        if row.kind not in ("counter", "histogram")
    ],
)
def test_what_is_observed_is_asked_for_at_each_collection(readings, metric):
    """The last value is never repeated; what gives no point has none."""
    answers = [[(3.0, dict.fromkeys(metric.keys, "x"))], [], [(4.0, {})]]
    readings.instruments.observe(metric, lambda: answers.pop(0))
    assert told(readings, metric) == [(dict.fromkeys(metric.keys, "x"), 3.0)]
    assert told(readings, metric) == []
    assert told(readings, metric) == [({}, 4.0)]


def test_several_callbacks_of_one_metric_each_give_points(readings):
    """Two brokers, one metric."""
    for queue in ("mail", "video"):
        readings.instruments.observe(c.QUEUE_DEPTH, lambda queue=queue: [(1, {c.QUEUE: queue})])
    assert told(readings, c.QUEUE_DEPTH) == [({c.QUEUE: "mail"}, 1), ({c.QUEUE: "video"}, 1)]


def test_a_key_that_the_catalogue_does_not_have_is_refused(readings):
    """Whoever adds a key adds it to the catalogue, docs and bounds first."""
    with pytest.raises(ValueError, match=f"{c.CONSUMED_MESSAGES.name} has no key {c.TASK_NAME}"):
        readings.instruments.add(c.CONSUMED_MESSAGES, 1, {c.TASK_NAME: "a"})
    with pytest.raises(ValueError, match="has no key"):
        readings.instruments.record(c.LATENESS, 1.0, {c.QUEUE: "a"})
    assert told(readings, c.CONSUMED_MESSAGES) == []


def test_a_row_is_used_as_what_it_is(readings):
    """A histogram is not counted, a gauge not recorded, a counter not observed."""
    with pytest.raises(ValueError, match="is a histogram"):
        readings.instruments.add(c.QUEUE_WAIT, 1, {})
    with pytest.raises(ValueError, match="is a observable_gauge"):
        readings.instruments.record(c.BACKLOG, 1, {})
    with pytest.raises(ValueError, match="is a counter"):
        readings.instruments.observe(c.OUTCOMES, list)


def test_nothing_is_registered_before_it_is_used(readings):
    """A publisher shows no metrics of a worker."""
    assert readings.metrics() == []


def test_the_sdk_is_told_once_a_slice():
    """A call of its instruments is dear, a sum is not."""
    calls: list[tuple[float, Any]] = []

    class Meter(NoOpMeter):
        def create_counter(self, *said: Any, **more: Any) -> Any:
            counter = super().create_counter(*said, **more)
            counter.add = lambda amount, attributes, context: calls.append((amount, attributes))
            return counter

    instruments = Instruments(Meter("m"))
    for _ in range(10):
        instruments.counters(c.PROCESS_EXITS)[("error",)].add()
    instruments.settle()
    instruments.settle()
    assert calls == [(10, {c.EXIT_REASON: "error"})]
