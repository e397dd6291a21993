from __future__ import annotations

import pytest

from otel_celery import conventions as c
from otel_celery.view.figures import (
    FRESH,
    QueueRow,
    TaskRow,
    WorkerRow,
    quantile,
    queue_rows,
    task_rows,
    worker_rows,
)
from otel_celery.view.records import Histogram
from otel_celery.view.store import Store
from tests.unit.cli_wire import NOW, PAY, WORKER, filled, metrics, number

BOUNDS = (0.1, 1.0)
READ = QueueRow("orders", 2, 1.5, unacked=1, published=10)


def buckets(*counts: int) -> Histogram:
    return Histogram(sum(counts), 0.0, BOUNDS, counts, NOW)


def test_a_task_has_one_row_with_all_its_outcomes():
    assert task_rows(filled().snapshot()) == [
        TaskRow(
            name="pay",
            runs=7,
            ok=3,
            failed=1,
            expected=1,
            retried=1,
            requeued=1,
            lost=0,
            timeout=0,
            wait=buckets(4, 2, 1),
            run=buckets(5, 2, 0),
            outcomes={c.SUCCESS: 3, c.FAILURE: 2, c.RETRY: 1, c.REQUEUED: 1},
        )
    ]


def test_what_is_unacknowledged_does_not_wait_in_the_queue():
    assert queue_rows(filled().snapshot(), NOW) == [
        QueueRow("orders", 2, 1.5, unacked=1, published=10)
    ]


def test_an_old_reading_of_a_queue_is_not_known():
    rows = queue_rows(filled().snapshot(), NOW + FRESH + 1)
    assert rows == [QueueRow("orders", None, None, published=10)]


def test_a_queue_that_nobody_has_read_is_not_empty():
    store = Store()
    store.add_metrics(metrics(WORKER, number(c.SENT_MESSAGES, 1, PAY)))
    assert queue_rows(store.snapshot(), NOW) == [QueueRow("orders", None, None, published=1)]


def test_two_readers_of_one_queue_are_not_added():
    store = Store()
    ready = {c.QUEUE: "orders", c.QUEUE_STATE: "ready"}
    for instance, depth in (("one", 5), ("two", 7)):
        store.add_metrics(metrics(("w", instance), number(c.QUEUE_DEPTH, depth, ready)))
    assert queue_rows(store.snapshot(), NOW) == [QueueRow("orders", 7, None)]


def test_a_worker_is_one_row_whatever_its_processes_do():
    assert worker_rows(filled().snapshot(), NOW) == [
        WorkerRow(
            "celery@host",
            3.0,
            4,
            active=1,
            reserved=0,
            scheduled=1,
            exits={"signal": 2},
            pool_type="prefork",
            processed=7,
            failed=1,
        )
    ]


@pytest.mark.parametrize(
    ("histogram", "share", "expected"),
    [
        pytest.param(None, 0.5, None, id="no-histogram"),
        pytest.param(buckets(0, 0, 0), 0.5, None, id="nothing-measured"),
        pytest.param(buckets(4, 0, 0), 0.5, 0.05, id="half-way-in-the-first-bucket"),
        pytest.param(buckets(2, 2, 0), 0.75, 0.55, id="half-way-in-the-second"),
        pytest.param(buckets(0, 0, 3), 0.95, 1.0, id="beyond-the-last-bound"),
        pytest.param(Histogram(3, 1.0, (), (), NOW), 0.5, None, id="no-buckets"),
    ],
)
def test_a_quantile_is_found_within_its_bucket(histogram, share, expected):
    assert quantile(histogram, share) == (None if expected is None else pytest.approx(expected))


def test_histograms_with_other_bounds_add_their_counts_only():
    other = Histogram(1, 2.0, (5.0,), (1, 0), NOW + 1)
    assert buckets(1, 1, 0) + other == Histogram(3, 2.0, (), (), NOW + 1)


def test_a_count_over_all_queues_is_no_queue():
    store = filled()
    store.add_metrics(metrics(WORKER, number(c.QUEUE_DEPTH, 9, {c.QUEUE_STATE: "unacked"})))
    assert queue_rows(store.snapshot(), NOW) == [
        QueueRow("orders", 2, 1.5, unacked=1, published=10)
    ]
