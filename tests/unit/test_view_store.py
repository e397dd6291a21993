from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_celery import conventions as c
from otel_celery.view.records import Histogram, Number, Series, read_value
from otel_celery.view.store import Limits, Store
from tests.unit.cli_wire import NOW, ORDER, PAY, WORKER, histogram, metrics, number, span, traces


def test_a_span_arrives_with_all_that_was_said_of_it():
    store = Store()
    store.add_traces(traces(*ORDER))
    assert list(store.snapshot().traces[ORDER[0].trace_id].values()) == list(ORDER)


def test_a_span_that_is_sent_twice_is_one_span():
    store = Store()
    store.add_traces(traces(ORDER[0]))
    store.add_traces(traces(ORDER[0], ORDER[1]))
    assert [len(spans) for spans in store.snapshot().traces.values()] == [2]


def test_the_oldest_trace_leaves_first():
    store = Store(Limits(traces=2))
    for trace in (1, 2, 3):
        store.add_traces(traces(span(1, "a", "internal", (0, 1), trace=trace)))
    assert list(store.snapshot().traces) == [f"{trace:032x}" for trace in (2, 3)]


def test_the_newest_point_of_a_series_stands():
    store = Store()
    for amount, at in ((5, NOW + 1), (7, NOW + 2), (6, NOW + 1)):
        store.add_metrics(metrics(WORKER, number(c.SENT_MESSAGES, amount, PAY, at)))
    series = Series(c.SENT_MESSAGES.name, frozenset(PAY.items()), *WORKER)
    assert store.snapshot().numbers == {series: Number(7, NOW + 2)}


def test_processes_do_not_overwrite_each_other():
    store = Store()
    for instance in ("one", "two"):
        store.add_metrics(metrics(("shop-web", instance), number(c.SENT_MESSAGES, 1, PAY)))
    assert sorted(series.instance for series in store.snapshot().numbers) == ["one", "two"]


def test_a_histogram_keeps_its_buckets():
    store = Store()
    store.add_metrics(metrics(WORKER, histogram(c.QUEUE_WAIT, [1, 2, 0], [0.1, 1.0], PAY)))
    series = Series(c.QUEUE_WAIT.name, frozenset(PAY.items()), *WORKER)
    expected = Histogram(3, 0.0, (0.1, 1.0), (1, 2, 0), NOW)
    assert store.snapshot().histograms == {series: expected}


def test_a_snapshot_does_not_change_any_more():
    store = Store()
    store.add_traces(traces(ORDER[0]))
    before = store.snapshot()
    store.add_traces(traces(*ORDER))
    assert [len(spans) for spans in before.traces.values()] == [1]


def test_a_list_becomes_a_tuple_so_that_it_can_be_a_key():
    items = ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="a"), AnyValue()])
    assert read_value(AnyValue(array_value=items)) == (1, "a", None)


def small(trace: int, spans: int = 1):
    """Return a request with some spans of one trace, each of the same size."""
    return traces(*(span(n + 1, "a", "internal", (0, 1), trace=trace) for n in range(spans)))


ONE = small(1).resource_spans[0].scope_spans[0].spans[0].ByteSize()


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Limits(traces=4), id="traces"),
        pytest.param(Limits(spans=8), id="spans"),
        pytest.param(Limits(span_bytes=8 * ONE), id="bytes"),
    ],
)
def test_memory_is_bounded_and_what_left_is_counted(limits):
    store = Store(limits)
    for trace in range(1, 11):
        store.add_traces(small(trace, spans=2))
    assert store.tally().traces == 4
    tally = store.tally()
    assert tally.traces <= limits.traces
    assert tally.spans <= limits.spans
    assert tally.span_bytes <= limits.span_bytes
    assert tally.traces + tally.forgotten_traces == 10
    assert tally.spans == sum(len(spans) for spans in store.snapshot().traces.values())
    assert f"{10:032x}" in store.snapshot().traces


def test_one_trace_cannot_push_out_all_others():
    store = Store(Limits(trace_spans=3))
    store.add_traces(small(1))
    store.add_traces(small(2, spans=10))
    assert [len(spans) for spans in store.snapshot().traces.values()] == [1, 3]
    assert store.tally().dropped_spans == 7


def test_a_span_too_large_for_its_share_is_dropped_and_counted():
    store = Store(Limits(span_bytes=4 * ONE - 1))
    store.add_traces(small(1))
    assert (store.snapshot().traces, store.tally().dropped_spans) == ({}, 1)


def test_of_too_many_series_the_stalest_leave():
    store = Store(Limits(series=2))
    for instance in ("one", "two", "one", "three"):
        store.add_metrics(metrics(("w", instance), number(c.SENT_MESSAGES, 1, PAY)))
    found = sorted(series.instance for series in store.snapshot().numbers)
    assert (found, store.tally().series, store.tally().dropped_points) == (["one", "three"], 2, 1)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(number(c.OLDEST_MESSAGE, float("nan"), PAY), id="nan"),
        pytest.param(number(c.SENT_MESSAGES, 1, {**PAY, "x": "y" * 20_000}), id="too-large"),
        pytest.param(histogram(c.QUEUE_WAIT, [1, 2], [0.1, 1.0], PAY), id="buckets-without-bound"),
    ],
)
def test_a_point_that_would_spoil_the_page_is_dropped_and_counted(row):
    store = Store()
    store.add_metrics(metrics(WORKER, row))
    assert (store.tally().series, store.tally().dropped_points) == (0, 1)


def test_metrics_of_others_are_not_kept():
    store = Store()
    row = Metric(name="http.server.request.duration")
    row.sum.data_points.add(as_int=1)
    store.add_metrics(metrics(WORKER, row))
    assert (store.tally().series, store.tally().dropped_points) == (0, 0)


def since(row: Metric, start: float) -> Metric:
    """Return a cumulative row of a process that began so many seconds after NOW."""
    kind = row.sum if row.HasField("sum") else row.histogram
    if row.HasField("sum"):
        row.sum.is_monotonic = True
    for point in kind.data_points:
        point.start_time_unix_nano = int(NOW + start) * 10**9
    return row


def test_counts_go_on_where_they_stood_when_a_worker_begins_anew():
    store = Store()
    for began, amount, at in ((0, 5, 10), (20, 1, 21), (20, 3, 22), (30, 2, 31)):
        rows = (
            since(number(c.SENT_MESSAGES, amount, PAY, NOW + at), began),
            since(histogram(c.QUEUE_WAIT, [amount, 0, 0], [0.1, 1.0], PAY, NOW + at), began),
        )
        store.add_metrics(metrics(WORKER, *rows))
    [sent], [waited] = store.snapshot().numbers.values(), store.snapshot().histograms.values()
    assert (sent.value, waited.count, waited.counts) == (10, 10, (10, 0, 0))


def test_what_an_earlier_process_says_late_is_not_counted_again():
    store = Store()
    for began, amount, at in ((0, 5, 10), (20, 1, 21), (0, 6, 22)):
        row = since(number(c.SENT_MESSAGES, amount, PAY, NOW + at), began)
        store.add_metrics(metrics(WORKER, row))
    assert [point.value for point in store.snapshot().numbers.values()] == [6]


def test_a_level_is_never_added_up():
    store = Store()
    for began, amount in ((0, 5), (20, 1)):
        row = number(c.TASK_COUNT, amount, {c.HELD_STATE: "active"}, NOW + began)
        row.sum.data_points[0].start_time_unix_nano = int(NOW + began) * 10**9
        store.add_metrics(metrics(WORKER, row))
    assert [point.value for point in store.snapshot().numbers.values()] == [1]
