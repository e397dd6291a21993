"""What does a fact add to the metrics, and what does this worker hold?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from otel_celery import conventions as c
from otel_celery.counts import Counts
from otel_celery.facts import Delivery, Due
from tests.unit.stand_ins import BAD, LANES, NS, OWN, SENT, Readings, delivery, ended, published

FOR_ALWAYS = 4_000_000_000.0  # Unix seconds; an eta that no test reaches


@pytest.fixture(params=LANES)
def readings(request: pytest.FixtureRequest) -> Iterator[Readings]:
    made = Readings(request.param)
    yield made
    made.provider.shutdown()


@pytest.fixture
def counts(readings: Readings) -> Counts:
    made = Counts(readings.instruments)
    readings.instruments.observe(c.TASK_COUNT, made.held)
    return made


def lives(counts: Counts, of: Delivery, state: str = "success", *more: Any, **said: Any) -> None:
    counts.received(of)
    if of.begun:
        counts.started(of)
    last = ended(of, state, *more, **said)
    counts.ended(last, last.end_mono)
    counts.settle()


def held(counts: Counts) -> dict[Any, float]:
    return {attributes[c.HELD_STATE]: value for value, attributes in counts.held()}


def only(readings: Readings, metric: c.Metric) -> Any:
    """Return the one point of a metric, as (attributes, value or (count, sum))."""
    (point,) = readings.points(metric)
    value = point.value if hasattr(point, "value") else (point.count, point.sum)
    return dict(point.attributes), value


def test_each_step_of_a_delivery_closes_the_ledger(counts: Counts, readings: Readings):
    """Consumed is what has ended and what is held, at any moment."""
    now, later = delivery(), delivery(ran=None, due_at=FOR_ALWAYS)
    steps = [
        (lambda: counts.received(now), {"active": 0, "reserved": 1, "scheduled": 0}),
        (lambda: counts.received(later), {"active": 0, "reserved": 1, "scheduled": 1}),
        (lambda: counts.started(now), {"active": 1, "reserved": 0, "scheduled": 1}),
        (lambda: counts.ended(ended(now), 0), {"active": 0, "reserved": 0, "scheduled": 1}),
        (lambda: counts.ended(ended(later, "revoked"), 0), dict.fromkeys(c.HELD_STATES, 0)),
    ]
    for step, holds in steps:
        step()
        counts.settle()
        assert held(counts) == holds
        consumed = readings.values(c.CONSUMED_MESSAGES)[()]
        outcomes = readings.values(c.OUTCOMES).get((), 0)
        assert consumed == outcomes + sum(holds.values())


def test_a_delivery_whose_time_has_come_is_reserved(counts: Counts):
    counts.received(delivery(ran=None, due_at=float(SENT)))
    assert held(counts) == {"active": 0, "reserved": 1, "scheduled": 0}


def test_a_delivery_that_begins_after_it_was_given_back_is_not_held(
    counts: Counts, readings: Readings
):
    """The pool took it at the moment at which the connection was lost."""
    of = delivery()
    counts.received(of)
    counts.ended(ended(of, c.RETURNED), 0)
    counts.started(of)
    assert held(counts) == dict.fromkeys(c.HELD_STATES, 0)
    assert readings.values(c.QUEUE_WAIT) == {}


def test_a_delivery_that_ran_is_counted_with_its_times(counts: Counts, readings: Readings):
    lives(counts, delivery())
    where = {c.MESSAGING_SYSTEM: "redis", c.QUEUE: "mail"}
    assert only(readings, c.CONSUMED_MESSAGES) == ({**where, c.OPERATION_NAME: "receive"}, 1)
    assert only(readings, c.OUTCOMES) == (
        {**where, c.TASK_NAME: "shop.pay", c.TASK_STATE: "success"},
        1,
    )
    assert only(readings, c.QUEUE_WAIT) == ({**where, c.TASK_NAME: "shop.pay"}, (1, 2.0))
    assert only(readings, c.PROCESS_DURATION) == (
        {**where, c.TASK_NAME: "shop.pay", c.OPERATION_NAME: "process"},
        (1, 3.0),
    )


@pytest.mark.parametrize(
    ("state", "said", "outcome", "duration"),
    [
        pytest.param("failure", {"failure": BAD}, ("KeyError", None), "_OTHER", id="failure"),
        pytest.param(
            "failure",
            {"failure": BAD, "error": False, "expected": True},
            ("KeyError", True),
            "_OTHER",
            id="expected",
        ),
        pytest.param("timeout", {"failure": BAD}, ("KeyError", None), "_OTHER", id="timeout"),
        pytest.param("lost", {"failure": BAD}, ("KeyError", None), "_OTHER", id="lost"),
        pytest.param("retry", {"failure": BAD}, ("KeyError", None), None, id="retry"),
        pytest.param("rejected", {}, (None, None), None, id="rejected"),
    ],
)
def test_the_class_of_an_error_stands_on_outcomes_alone(
    counts: Counts,
    readings: Readings,
    state: str,
    said: dict[str, Any],
    outcome: tuple[Any, ...],
    duration: str | None,
):
    """One histogram a class would be too dear."""
    lives(counts, delivery(), state, **said)
    assert readings.values(c.OUTCOMES, c.TASK_STATE, c.ERROR_TYPE, c.TASK_EXPECTED) == {
        (state, *outcome): 1
    }
    assert readings.values(c.PROCESS_DURATION, c.ERROR_TYPE) == {(duration,): 1}


@pytest.mark.parametrize("state", [c.UNKNOWN, c.INVALID])
def test_a_message_that_named_no_task_of_ours_names_no_series(
    counts: Counts, readings: Readings, state: str
):
    """Anybody can send any name."""
    lives(counts, delivery("whatever", ran=None), state, BAD)
    assert readings.values(c.OUTCOMES, c.TASK_NAME, c.TASK_STATE) == {("_OTHER", state): 1}


def test_names_of_strangers_take_no_place_among_ours(counts: Counts, readings: Readings):
    """Else a flood of them would leave no series to tasks that are first sent later."""
    for number in range(300):
        lives(counts, delivery(f"whatever.{number}", ran=None), c.UNKNOWN, BAD)
    counts.published(published(task="shop.later"))
    counts.settle()
    assert readings.values(c.SENT_MESSAGES, c.TASK_NAME) == {("shop.later",): 1}
    assert readings.values(c.OVERFLOWS) == {}


def test_queues_that_are_consumed_have_their_place_before_any_message(
    counts: Counts, readings: Readings
):
    """On Redis it is the message that says by which queue it came."""
    counts.expect(["orders"])
    for number in range(60):
        lives(counts, delivery(queue=f"whatever.{number}"))
    lives(counts, delivery(queue="orders"))
    consumed = readings.values(c.CONSUMED_MESSAGES, c.QUEUE)
    assert (len(consumed), consumed["orders",], consumed["_OTHER",]) == (51, 1, 11)


def test_what_never_began_has_no_duration_and_no_wait(counts: Counts, readings: Readings):
    lives(counts, delivery(ran=None), "expired")
    assert readings.values(c.OUTCOMES, c.TASK_STATE) == {("expired",): 1}
    assert readings.points(c.PROCESS_DURATION) == readings.points(c.QUEUE_WAIT) == []


@pytest.mark.parametrize(
    ("noted", "waited", "skewed"),
    [
        pytest.param({}, [2.0], {}, id="sent-to-start"),
        pytest.param({"due_at": SENT + 1.5}, [0.5], {}, id="a-countdown-is-no-wait"),
        pytest.param({"redelivered": True}, [], {}, id="redelivered-the-stamp-is-of-the-first-run"),
        pytest.param({"sent_at": None}, [], {}, id="no-stamp"),
        pytest.param({"sent_at": SENT + 9.0}, [0.0], {(): 1}, id="clocks-that-disagree"),
    ],
)
def test_a_wait(
    counts: Counts,
    readings: Readings,
    noted: dict[str, Any],
    waited: list[float],
    skewed: dict[Any, float],
):
    lives(counts, delivery(**noted))
    assert [point.sum for point in readings.points(c.QUEUE_WAIT)] == waited
    assert readings.values(c.SKEW_CORRECTIONS) == skewed


def test_a_redelivery_says_so_where_it_is_consumed(counts: Counts, readings: Readings):
    """Sent equals consumed only without them."""
    lives(counts, delivery())
    lives(counts, delivery(redelivered=True))
    assert readings.values(c.CONSUMED_MESSAGES, c.TASK_REDELIVERED) == {(None,): 1, (True,): 1}


@pytest.mark.parametrize(
    ("failure", "error"), [(None, None), (BAD, "KeyError")], ids=["sent", "failed"]
)
def test_a_publish_is_counted_and_timed(
    counts: Counts, readings: Readings, failure: Any, error: str | None
):
    counts.published(published(failure=failure))
    counts.settle()
    told = {
        c.MESSAGING_SYSTEM: "redis",
        c.OPERATION_NAME: "publish",
        c.QUEUE: "mail",
        c.TASK_NAME: "shop.pay",
        **({c.ERROR_TYPE: error} if error else {}),
    }
    assert only(readings, c.SENT_MESSAGES) == (told, 1)
    assert only(readings, c.CLIENT_DURATION) == (told, (1, 0.002))


def test_names_beyond_the_bound_become_one_series_and_are_counted(
    counts: Counts, readings: Readings
):
    for number in range(202):
        counts.published(published(task=f"shop.{number}"))
    counts.settle()
    tasks = readings.values(c.SENT_MESSAGES, c.TASK_NAME)
    assert (len(tasks), tasks["_OTHER",]) == (201, 2)
    assert readings.values(c.OVERFLOWS) == {(): 2}


def test_a_task_begins_at_zero(counts: Counts, readings: Readings):
    """Else `increase()` does not see its first failure."""
    counts.zero("shop.pay", "redis", "mail")
    counts.settle()
    keys = (c.MESSAGING_SYSTEM, c.QUEUE, c.TASK_NAME, c.TASK_STATE, c.ERROR_TYPE)
    assert readings.values(c.OUTCOMES, *keys) == {
        ("redis", "mail", "shop.pay", "success", None): 0,
        ("redis", "mail", "shop.pay", "failure", None): 0,
    }


@pytest.mark.parametrize("metric", [c.QUEUE_WAIT, c.PROCESS_DURATION], ids=lambda m: m.name)
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "not-sampled"])
def test_an_exemplar_leads_to_the_process_span(
    counts: Counts, readings: Readings, sampled: bool, metric: c.Metric
):
    """If there is one."""
    lives(counts, delivery(own=OWN._replace(sampled=sampled)))
    ids = [(int(OWN.trace_id, 16), int(OWN.span_id, 16))] if sampled else []
    (point,) = readings.points(metric)
    assert [(kept.trace_id, kept.span_id) for kept in point.exemplars] == ids


def test_a_clock_that_was_set_back_gives_no_negative_duration(counts: Counts, readings: Readings):
    of = delivery()
    counts.received(of)
    counts.started(of)
    counts.ended(ended(of), 0)
    assert only(readings, c.PROCESS_DURATION)[1] == (1, 0.0)


def test_the_oldest_running_delivery_of_each_task_has_an_age(counts: Counts):
    """A task that hangs has no other point anywhere."""
    now = time.monotonic_ns()
    for name, age in (("shop.pay", 5), ("shop.pay", 60), ("shop.mail", 7)):
        of = delivery(name, start_mono=now - age * NS)
        counts.received(of)
        counts.started(of)
    ages = {attributes[c.TASK_NAME]: round(age) for age, attributes in counts.oldest_active()}
    assert ages == {"shop.pay": 60, "shop.mail": 7}


@pytest.mark.parametrize(
    ("lateness", "points"), [(0.5, {("nightly",): 1}), (None, {})], ids=["late", "unknown"]
)
def test_an_entry_of_beat_is_late(
    counts: Counts, readings: Readings, lateness: float | None, points: dict[Any, float]
):
    counts.due(Due("nightly", OWN, 5, 6, lateness, None))
    assert readings.values(c.LATENESS, c.BEAT_ENTRY) == points
