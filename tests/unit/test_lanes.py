"""Whatever waits in a lane is bounded and counted."""

from __future__ import annotations

import math

import pytest

from otel_celery.lanes import Counts, NoLane
from otel_celery.lanes.outbox import Outbox
from otel_celery.span import CONSUMER, FinishedSpan


@pytest.mark.parametrize(
    ("outbox", "kept"),
    [
        pytest.param(Outbox[str](most_spans=3), 1, id="spans"),
        pytest.param(Outbox[str](most_bytes=25), 2, id="bytes"),
    ],
)
def test_full_outbox_drops_the_newest(outbox: Outbox[str], kept: int):
    for name in ("a", "b", "c"):
        outbox.offer(name, 2, 10)
    assert [parcel.item for parcel in outbox.take(100, 100)] == ["a", "b"][:kept]
    assert outbox.counts().dropped == {"queue_full": 2 * (3 - kept)}


def test_outbox_counts_what_is_being_sent_as_waiting():
    """So a batch on its way still takes its room."""
    outbox = Outbox[str](most_spans=2)
    outbox.offer("a", 2, 10)
    batch = outbox.take(10, 100)
    outbox.offer("b", 1, 10)
    assert outbox.counts() == Counts(0, {"queue_full": 1}, 2, 2)
    outbox.sent(batch)
    outbox.offer("c", 1, 10)
    assert outbox.counts() == Counts(2, {"queue_full": 1}, 1, 2)


def test_outbox_has_room_again_when_a_batch_is_settled():
    """By bytes as by spans, whether it was sent or dropped."""
    outbox = Outbox[str](most_bytes=10)
    outbox.offer("a", 1, 10)
    outbox.sent(outbox.take(1, 10))
    outbox.offer("b", 1, 10)
    outbox.drop(outbox.take(1, 10), "refused")
    outbox.offer("c", 1, 10)
    assert outbox.counts()[:3] == (1, {"refused": 1}, 1)


def test_no_lane_takes_everything_and_says_nothing():
    lane = NoLane()
    lane.put(FinishedSpan("work", CONSUMER, 1, 2, 0, 10, 20, {}))
    lane.put_encoded(b"", 1)
    lane.export(math.inf)
    lane.close()
    assert lane.counts() == Counts(0, {}, 0, 0)
