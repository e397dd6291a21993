"""Each exporter's word is counted, and each gets its spans in bounded batches."""

from __future__ import annotations

import math

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_celery.lanes import Counts
from otel_celery.lanes.outbox import Outbox
from otel_celery.lanes.reference import ReferenceLane
from otel_celery.span import Event
from tests.unit.fake_exporter import RESOURCE, SCOPE, SPAN, Keeping, reference


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([SpanExportResult.SUCCESS], Counts(1, {}, 0, 50_000), id="taken"),
        pytest.param(
            [SpanExportResult.FAILURE], Counts(0, {"refused": 1}, 0, 50_000), id="refused"
        ),
    ],
)
def test_the_exporters_word_is_counted(results: list[SpanExportResult], expected: Counts):
    lane = reference(Keeping(*results))
    lane.put(SPAN)
    assert lane.export(math.inf) is None
    assert lane.counts() == expected


def test_an_exporter_that_raises_loses_its_batch_and_no_other():
    """The courier reports it; the next batch is tried."""
    exporter = Keeping(RuntimeError("broken"))
    lane = reference(exporter)
    lane.put(SPAN)
    with pytest.raises(RuntimeError, match="broken"):
        lane.export(math.inf)
    lane.put(SPAN._replace(name="next"))
    assert lane.export(math.inf) is None
    assert [[span.name for span in batch] for batch in exporter.batches] == [
        ["process pay"],
        ["next"],
    ]
    assert lane.counts() == Counts(1, {"refused": 1}, 0, 50_000)


def test_every_exporter_gets_every_span():
    console, grpc = Keeping(), Keeping()
    lane = ReferenceLane([console, grpc], RESOURCE, SCOPE)
    lane.put(SPAN)
    lane.export(math.inf)
    assert len(console.batches) == len(grpc.batches) == 1


def test_batches_are_bounded_and_other_work_has_its_turn():
    exporter, now = Keeping(), 5.0
    lane = reference(exporter, clock=lambda: now)
    for _ in range(9 * 512):
        lane.put(SPAN)
    assert lane.export(math.inf) == now
    assert {len(batch) for batch in exporter.batches} == {512}
    assert lane.counts().waiting == 512


def test_nothing_is_sent_after_the_deadline():
    exporter = Keeping()
    lane = reference(exporter, clock=lambda: 5.0)
    lane.put(SPAN)
    assert lane.export(5.0) == 5.0
    assert exporter.batches == []


def test_tracebacks_count_towards_the_bound():
    """A queue of large spans must not take all memory."""
    lane = reference(Keeping(), outbox=Outbox(most_bytes=10_000))
    large = SPAN._replace(events=[Event("exception", 1, {"exception.stacktrace": "x" * 8_000})])
    lane.put(large)
    lane.put(large)
    assert lane.counts() == Counts(0, {"queue_full": 1}, 1, 50_000)


def test_many_spans_wake_the_courier():
    woken: list[bool] = []
    lane = reference(Keeping(), outbox=Outbox(worth_waking=2))
    lane.wake = lambda: woken.append(True)
    for _ in range(4):
        lane.put(SPAN)
    assert woken == [True]


def test_a_closed_lane_counts_what_it_gave_up():
    exporter = Keeping()
    lane = reference(exporter)
    lane.put(SPAN)
    lane.close()
    assert lane.counts() == Counts(0, {"closed": 1}, 0, 50_000)
    assert exporter.closed == 1
