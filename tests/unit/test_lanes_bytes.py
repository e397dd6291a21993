"""The bytes lane keeps what it cannot send yet, drops what it must, and counts both."""

from __future__ import annotations

import logging
import math
from collections import Counter

import pytest

from otel_celery.lanes import Counts
from otel_celery.lanes.bytes_lane import MOST_SPANS, BytesLane
from otel_celery.lanes.otlp_http import Answer, Verdict
from otel_celery.otlp import Envelope
from otel_celery.span import CONSUMER, FinishedSpan
from tests.unit.fake_post import DELIVERED, Clock, FakePost

BUSY = Answer(Verdict.AGAIN, "HTTP 503")
TOO_LARGE = Answer(Verdict.TOO_LARGE, "HTTP 413")
PADDING = bytes([0x12, 0xA0, 0x9C, 0x01]) + bytes(20_000)  # an unknown field
ENVELOPE = Envelope({"service.name": "shop"}, "otel_celery", "1")


def span(name: str = "work") -> FinishedSpan:
    return FinishedSpan(name, CONSUMER, 1, 2, 0, 10, 20, {})


def relayed(*names: str) -> bytes:
    return ENVELOPE.request([b"\x2a%c%b" % (len(name), name.encode()) for name in names])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post(clock: Clock) -> FakePost:
    return FakePost(clock)


@pytest.fixture
def lane(clock: Clock, post: FakePost) -> BytesLane:
    return BytesLane(post, ENVELOPE, where="http://c", clock=clock, jitter=lambda: 1.0)


def test_own_and_relayed_spans_leave_in_one_request(lane: BytesLane, post: FakePost):
    lane.put(span("own"))
    lane.put_encoded(relayed("a", "b"), 2)
    assert lane.export(math.inf) is None
    assert [sorted(names) for names in post.names] == [["a", "b", "own"]]
    assert lane.counts() == Counts(3, {}, 0, 50_000)


def test_nothing_waiting_sends_nothing(lane: BytesLane, post: FakePost):
    assert lane.export(math.inf) is None
    assert post.bodies == []


def test_requests_are_bounded_by_spans(lane: BytesLane, post: FakePost):
    for _ in range(MOST_SPANS + 1):
        lane.put(span())
    assert lane.export(math.inf) is None
    assert [len(names) for names in post.names] == [MOST_SPANS, 1]


def test_requests_are_bounded_by_bytes_but_never_empty(lane: BytesLane, post: FakePost):
    """What is larger than a request alone goes alone: the other side may take it."""
    big = relayed("x") + bytes([0x12, *b"\x80\x80\x80\x01"]) + bytes(1 << 21)  # an unknown field
    for request in (relayed("a"), big, relayed("b")):
        lane.put_encoded(request, 1)
    lane.export(math.inf)
    assert post.names == [["a"], ["x"], ["b"]]


def test_long_queue_gives_other_work_its_turn(lane: BytesLane, clock: Clock, post: FakePost):
    """After eight requests the courier is asked to call again at once."""
    for _ in range(9 * MOST_SPANS):
        lane.put(span())
    assert lane.export(math.inf) == clock.now
    assert len(post.bodies) == 8
    assert lane.export(math.inf) is None
    assert lane.counts().sent == 9 * MOST_SPANS


def test_failed_batch_stays_first_and_is_not_tried_before_its_time(
    lane: BytesLane, clock: Clock, post: FakePost
):
    lane.put(span("first"))
    post.answers.append(BUSY)
    again = lane.export(math.inf)
    assert again == lane.next_attempt_at == clock.now + 1.0
    lane.put(span("second"))
    clock.now += 0.9
    assert lane.export(math.inf) == again
    clock.now += 0.1
    assert lane.export(math.inf) is None
    assert post.names == [["first"], ["first"], ["second"]]
    assert lane.counts() == Counts(2, {}, 0, 50_000)


def test_back_off_doubles_up_to_half_a_minute_and_ends_with_success(
    lane: BytesLane, clock: Clock, post: FakePost
):
    lane.put(span())
    post.answers.extend([BUSY] * 7 + [DELIVERED, BUSY])
    pauses = []
    for _ in range(7):
        again = lane.export(math.inf)
        assert again is not None
        pauses.append(again - clock.now)
        clock.now = again
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert lane.export(math.inf) is None
    lane.put(span())
    assert lane.export(math.inf) == clock.now + 1.0


def test_pause_that_the_other_side_asks_for_is_kept_to(
    lane: BytesLane, clock: Clock, post: FakePost
):
    lane.put(span())
    post.answers.append(Answer(Verdict.AGAIN, "HTTP 429", 17.0))
    assert lane.export(math.inf) == clock.now + 17.0


def test_who_asks_for_no_pause_gets_one_that_grows(lane: BytesLane, clock: Clock, post: FakePost):
    """A Collector that says so whatever we do would keep us busy for ever."""
    lane.put(span())
    post.answers.extend([Answer(Verdict.AGAIN, "HTTP 503", 0.0)] * 7)
    pauses = []
    for _ in range(7):
        again = lane.export(math.inf)
        assert again is not None
        pauses.append(round(again - clock.now, 3))
        clock.now = again
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3]


def test_an_outage_of_days_loses_nothing_that_waits(lane: BytesLane, clock: Clock, post: FakePost):
    lane.put(span())
    post.answers.extend([BUSY] * 3000)
    for _ in range(3000):
        clock.now = lane.export(math.inf) or 0.0
    assert lane.export(math.inf) is None
    assert lane.counts() == Counts(1, {}, 0, 50_000)


def test_somebody_who_waits_gets_one_attempt_in_spite_of_the_back_off(
    lane: BytesLane, clock: Clock, post: FakePost
):
    lane.put(span())
    post.answers.append(BUSY)
    lane.export(math.inf)
    assert lane.export(clock.now + 3.0) is None
    assert post.timeouts == [math.inf, 3.0]
    assert lane.counts().sent == 1


def test_deadline_bounds_all_requests_together(lane: BytesLane, clock: Clock, post: FakePost):
    for _ in range(3 * MOST_SPANS):
        lane.put(span())
    post.takes = 2.0
    deadline = clock.now + 3.0
    assert lane.export(deadline) == deadline + 1.0
    assert post.timeouts == [3.0, 1.0]
    assert lane.counts()[::2] == (2 * MOST_SPANS, MOST_SPANS)


def test_refused_batch_is_dropped_once(lane: BytesLane, post: FakePost):
    """And what comes after it is sent."""
    lane.put_encoded(relayed("a", "b"), 2)
    post.answers.append(Answer(Verdict.REFUSED, "HTTP 400"))
    assert lane.export(math.inf) is None
    lane.put(span("next"))
    lane.export(math.inf)
    assert post.names == [["a", "b"], ["next"]]
    assert lane.counts() == Counts(1, {"refused": 2}, 0, 50_000)


def test_batch_that_is_too_large_is_halved_until_it_fits(lane: BytesLane, post: FakePost):
    for name in "abcd":
        lane.put_encoded(relayed(name) + PADDING, 1)
    post.answers.extend([TOO_LARGE, TOO_LARGE, DELIVERED, TOO_LARGE])
    assert lane.export(math.inf) is None
    assert post.names == [list("abcd"), list("ab"), ["a"], ["b"], list("cd")]
    assert lane.counts() == Counts(3, {"too_large": 1}, 0, 50_000)


def test_who_finds_everything_too_large_is_not_asked_about_each_span(
    lane: BytesLane, post: FakePost
):
    for _ in range(MOST_SPANS):
        lane.put(span())
    post.answers.extend([TOO_LARGE] * 2 * MOST_SPANS)
    assert lane.export(math.inf) is not None
    while lane.counts().waiting:
        lane.export(math.inf)
    assert lane.counts() == Counts(0, {"too_large": MOST_SPANS}, 0, 50_000)
    assert len(post.bodies) < 32


def test_rejected_spans_of_a_partial_success_are_counted(lane: BytesLane, post: FakePost):
    """However many the other side claims to have rejected."""
    for rejected in (2, 99):
        lane.put_encoded(relayed("a", "b", "c"), 3)
        post.answers.append(Answer(Verdict.DELIVERED, rejected=rejected))
        lane.export(math.inf)
    assert lane.counts() == Counts(1, {"rejected": 5}, 0, 50_000)


def test_failures_are_logged_once_a_minute(
    lane: BytesLane, clock: Clock, post: FakePost, caplog: pytest.LogCaptureFixture
):
    lane.put(span())
    post.answers.extend([BUSY] * 100)
    end = clock.now + 90
    while clock.now < end:
        clock.now = lane.export(math.inf) or end
    assert [record.getMessage() for record in caplog.records] == [
        "Spans do not get through to http://c: HTTP 503; next attempt in 1 s."
        " 1 spans wait, 0 were dropped so far.",
        "Spans do not get through to http://c: HTTP 503; next attempt in 30 s."
        " 1 spans wait, 0 were dropped so far.",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_enough_spans_wake_the_courier_once(lane: BytesLane):
    woken = Counter[str]()
    lane.wake = lambda: woken.update(["lane"])
    for _ in range(511):
        lane.put(span())
    assert not woken
    for _ in range(511):
        lane.put(span())
    assert woken["lane"] == 1


def test_nobody_is_woken_during_a_back_off(lane: BytesLane, post: FakePost):
    woken = Counter[str]()
    lane.wake = lambda: woken.update(["lane"])
    lane.put(span())
    post.answers.append(BUSY)
    lane.export(math.inf)
    for _ in range(1000):
        lane.put(span())
    assert not woken


def test_closed_lane_counts_what_it_gave_up(lane: BytesLane, post: FakePost):
    lane.put(span())
    post.answers.append(BUSY)
    lane.export(math.inf)
    lane.put(span())
    lane.close()
    assert lane.counts() == Counts(0, {"closed": 2}, 0, 50_000)
    assert post.closed == 1


@pytest.mark.parametrize("verdict", Verdict, ids=lambda verdict: verdict.name.lower())
def test_lane_closed_while_a_request_hangs_counts_its_spans_once(
    lane: BytesLane, post: FakePost, verdict: Verdict
):
    """A stop gave the answer up; what it says later changes nothing and sends nothing."""
    lane.put(span())
    lane.put(span())
    post.meanwhile = lane.close
    post.answers.append(Answer(verdict, "late"))
    lane.export(math.inf)
    assert lane.counts() == Counts(0, {"closed": 2}, 0, 50_000)
    assert len(post.bodies) == 1


def test_parts_count_as_many_as_they_are(lane: BytesLane, post: FakePost):
    """What a pool process joined has one envelope, and is split between parts only."""
    lane.put_part(b"", 3)
    lane.put(span("own"))
    assert lane.export(math.inf) is None
    assert lane.counts() == Counts(4, {}, 0, 50_000)


def test_a_lane_of_log_records_says_so(clock: Clock, post: FakePost, caplog):
    lane = BytesLane(post, ENVELOPE, where="http://c", what="log records", clock=clock)
    lane.put_part(b"", 2)
    post.answers.append(Answer(Verdict.REFUSED, "HTTP 404"))
    assert lane.export(math.inf) is None
    assert caplog.messages == [
        "Log records do not get through to http://c: HTTP 404; the batch is dropped."
        " 0 log records wait, 2 were dropped so far."
    ]
