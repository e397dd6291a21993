from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue

from otel_celery import conventions as c
from otel_celery.cli.store import Histogram, Number, Series, Store, read_value
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
    store = Store(max_traces=2)
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
