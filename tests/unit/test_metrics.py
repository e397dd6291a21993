"""How does a number become a point of a metric in the catalogue?"""

from __future__ import annotations

from collections import Counter

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel_celery import conventions as c
from otel_celery.metrics import Bounds, Instruments


class Readings:
    """Instruments on a private provider, and what an exporter would see of them."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.instruments = Instruments(self.provider.get_meter("test"))

    def metrics(self):
        """Collect."""
        data = self._reader.get_metrics_data()
        scopes = [s for r in data.resource_metrics for s in r.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, metric):
        """Collect, and return (attributes, value) of one metric."""
        found = self.metrics().get(metric.name)
        return [(dict(p.attributes), p.value) for p in found.data.data_points] if found else []


@pytest.fixture
def readings():
    """One for each test; no thread, no global."""
    made = Readings()
    yield made
    made.provider.shutdown()


def test_counts_of_one_series_add_up(readings):
    """And series differ by their attributes."""
    for queue in ("mail", "mail", "video"):
        readings.instruments.add(c.CONSUMED_MESSAGES, 1, {c.QUEUE: queue})
    assert sorted(readings.points(c.CONSUMED_MESSAGES), key=str) == [
        ({c.QUEUE: "mail"}, 2),
        ({c.QUEUE: "video"}, 1),
    ]


def test_what_is_none_is_left_out(readings):
    """An absent error is no key, not an empty one."""
    told = {c.QUEUE: "mail", c.ERROR_TYPE: None, c.TASK_EXPECTED: None}
    readings.instruments.add(c.OUTCOMES, 1, told)
    assert readings.points(c.OUTCOMES) == [({c.QUEUE: "mail"}, 1)]


def test_a_series_can_begin_at_zero(readings):
    """So that the first failure is an increase."""
    key = {c.TASK_NAME: "a", c.TASK_STATE: c.FAILURE}
    readings.instruments.zero(c.OUTCOMES, key)
    assert readings.points(c.OUTCOMES) == [(key, 0)]


def test_a_histogram_has_the_buckets_of_its_row(readings):
    """Name, unit, description and bounds come from the catalogue."""
    readings.instruments.record(c.QUEUE_WAIT, 61.0, {c.QUEUE: "mail"})
    metric = readings.metrics()[c.QUEUE_WAIT.name]
    (point,) = metric.data.data_points
    assert (metric.unit, metric.description) == (c.QUEUE_WAIT.unit, c.QUEUE_WAIT.description)
    assert point.explicit_bounds == c.DURATION_BUCKETS
    assert (point.sum, point.bucket_counts[c.DURATION_BUCKETS.index(300.0)]) == (61.0, 1)


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_the_context_gives_the_exemplar_its_trace(readings, sampled):
    """An unsampled trace leads nowhere and gives none."""
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("test").start_span("x") if sampled else None
    context = set_span_in_context(span) if span else None
    readings.instruments.record(c.PROCESS_DURATION, 1.0, {}, context)
    (point,) = readings.metrics()[c.PROCESS_DURATION.name].data.data_points
    expected = [span.get_span_context().trace_id] if span else []
    assert [exemplar.trace_id for exemplar in point.exemplars] == expected


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
    assert readings.points(metric) == [(dict.fromkeys(metric.keys, "x"), 3.0)]
    assert readings.points(metric) == []
    assert readings.points(metric) == [({}, 4.0)]


def test_several_callbacks_of_one_metric_each_give_points(readings):
    """Two brokers, one metric."""
    for queue in ("mail", "video"):
        readings.instruments.observe(c.QUEUE_DEPTH, lambda queue=queue: [(1, {c.QUEUE: queue})])
    assert readings.points(c.QUEUE_DEPTH) == [({c.QUEUE: "mail"}, 1), ({c.QUEUE: "video"}, 1)]


def test_a_key_that_the_catalogue_does_not_have_is_refused(readings):
    """Whoever adds a key adds it to the catalogue, docs and bounds first."""
    with pytest.raises(ValueError, match=f"{c.CONSUMED_MESSAGES.name} has no key {c.TASK_NAME}"):
        readings.instruments.add(c.CONSUMED_MESSAGES, 1, {c.TASK_NAME: "a"})
    with pytest.raises(ValueError, match="has no key"):
        readings.instruments.record(c.LATENESS, 1.0, {c.QUEUE: "a"})
    assert readings.points(c.CONSUMED_MESSAGES) == []


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
    assert readings.metrics() == {}


@pytest.fixture
def overflows():
    """How often a name had to become `_OTHER`."""
    return Counter()


@pytest.fixture
def bounds(overflows):
    """Bounds small enough to reach."""
    return Bounds(lambda: overflows.update(["n"]), tasks=2, queues=1, errors=1)


def test_the_first_names_are_kept_and_all_further_ones_are_other(bounds, overflows):
    """Counted each time; a kept name stays kept."""
    assert [bounds.task(name) for name in ("a", "b", "c", "a", "c")] == [
        "a", "b", "_OTHER", "a", "_OTHER",
    ]  # fmt: skip
    assert [bounds.queue(name) for name in ("q", "r")] == ["q", "_OTHER"]
    assert overflows["n"] == 3


def test_each_task_has_room_for_errors_of_its_own(bounds):
    """A task with many errors takes nothing from its neighbour; unnamed tasks share."""
    named = [bounds.task(name) for name in ("a", "b", "c", "d")]
    assert named == ["a", "b", "_OTHER", "_OTHER"]
    told = [("a", "E1"), ("a", "E2"), ("b", "E2"), ("_OTHER", "E3"), ("d", "E4")]
    assert [bounds.error(*each) for each in told] == ["E1", "_OTHER", "E2", "E3", "_OTHER"]


def test_no_error_stays_no_error_and_other_takes_no_place(bounds, overflows):
    """None is not a name."""
    assert bounds.error("a", None) is None
    assert [bounds.task("_OTHER"), bounds.task("a"), bounds.task("b")] == ["_OTHER", "a", "b"]
    assert overflows["n"] == 0


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("q" * 300, "q" * 255, id="long"),
        pytest.param("q\ud800", "q?", id="lone-surrogate"),
        pytest.param("", "_OTHER", id="empty"),
    ],
)
def test_a_name_that_could_spoil_a_batch_is_mended(bounds, name, kept):
    """Names come from messages."""
    assert bounds.queue(name) == kept == bounds.queue(name)


def test_the_bounds_are_those_of_the_contract(overflows):
    """200 task names, 50 queues, 30 error types."""
    bounds = Bounds(lambda: overflows.update(["n"]))
    names = [str(number) for number in range(300)]
    assert len({bounds.task(name) for name in names}) == 201
    assert len({bounds.queue(name) for name in names}) == 51
    assert len({bounds.error("0", name) for name in names}) == 31
    assert overflows["n"] == 100 + 250 + 270
