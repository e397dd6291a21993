"""A due entry is sent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab, schedule
from opentelemetry import context, trace

from otel_celery import beat as module
from otel_celery.beat import Beat, lateness
from otel_celery.facts import Due, Failure
from otel_celery.sampling import Decision
from tests.unit.stand_ins import Asked, Voice


class Plan(Scheduler):
    """A scheduler that keeps nothing, and notes the span in which it sends."""

    def setup_schedule(self) -> None:
        self.within: list[str] = []
        self.fault: Exception | None = None

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        found = trace.get_current_span().get_span_context()
        self.within.append(f"{found.span_id:016x}")
        if self.fault is not None:
            raise self.fault
        return "sent"

    def tick(self, *args: Any, **options: Any) -> Any:
        return "ticked"


@pytest.fixture
def plan(app: Celery) -> Plan:
    return Plan(app, lazy=False)


@pytest.fixture
def beat(voice: Voice, plan: Plan) -> Beat:
    return Beat(voice, plan)


def entry_of(app: Celery, late: float = 0.0, every: Any = None) -> ScheduleEntry:
    ran = datetime.now(timezone.utc) - timedelta(seconds=60 + late)
    every = every or schedule(timedelta(seconds=60), app=app)
    return ScheduleEntry("nightly", "shop.pay", last_run_at=ran, schedule=every, app=app)


@pytest.mark.usefixtures("beat")
def test_an_entry_is_sent_within_a_root_of_its_own(app: Celery, voice: Voice, plan: Plan):
    before = context.get_current()
    assert plan.apply_async(entry_of(app, late=30.0)) == "sent"
    assert context.get_current() == before
    (fact,) = voice.told
    assert fact == Due("nightly", fact.own, fact.start_ns, fact.duration_ns, fact.lateness, None)
    assert (plan.within, round(fact.lateness)) == ([fact.own.span_id], 30)


@pytest.mark.usefixtures("beat")
def test_two_entries_are_two_traces(app: Celery, voice: Voice, plan: Plan):
    for _ in range(2):
        plan.apply_async(entry_of(app))
    assert len({fact.own.trace_id for fact in voice.told}) == 2


@pytest.mark.usefixtures("beat")
def test_an_entry_that_cannot_be_sent_is_told_and_raises_what_it_raised(
    app: Celery, voice: Voice, plan: Plan
):
    plan.fault = gone = OSError("gone")
    before = context.get_current()
    with pytest.raises(OSError, match="gone") as raised:
        plan.apply_async(entry_of(app))
    assert (raised.value, context.get_current()) == (gone, before)
    assert [fact.failure for fact in voice.told] == [
        Failure("OSError", "builtins.OSError", "gone", "")
    ]


@pytest.mark.usefixtures("beat")
def test_what_is_not_sampled_is_told_as_such(app: Celery, voice: Voice, plan: Plan):
    voice.decide = Asked(lambda *_: Decision(False, "", {}))
    plan.apply_async(entry_of(app))
    assert [fact.own.sampled for fact in voice.told] == [False]


class Broken(schedule):
    """A schedule of the user's own, which cannot say when it is due."""

    def remaining_estimate(self, last_run_at: Any) -> Any:
        raise RuntimeError("theirs")


@pytest.mark.usefixtures("beat")
def test_a_schedule_that_fails_costs_a_span_and_leaves_no_context_behind(
    app: Celery, voice: Voice, plan: Plan
):
    """Else every entry after it would belong to its trace."""
    before = context.get_current()
    assert plan.apply_async(entry_of(app, every=Broken(60, app=app))) == "sent"
    assert context.get_current() == before
    assert (voice.told, voice.guard.faults) == ([], {"beat": 1})


@pytest.mark.parametrize("inner", ["_begin", "_end"], ids=["before", "after"])
def test_a_fault_of_ours_is_counted_and_the_entry_is_sent(
    app: Celery, voice: Voice, plan: Plan, monkeypatch: pytest.MonkeyPatch, inner: str
):
    def fault(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Beat, inner, fault)
    Beat(voice, plan)
    token = context.attach(context.get_current())  # what the fault leaves attached ends here
    try:
        assert plan.apply_async(entry_of(app)) == "sent"
    finally:
        context.detach(token)
    assert voice.guard.faults == {"beat": 1}


def test_each_turn_of_the_loop_is_a_heartbeat(
    beat: Beat, plan: Plan, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 1234.5))
    assert plan.tick() == "ticked"
    assert list(beat.heartbeat()) == [(1234.5, {})]


@pytest.mark.parametrize(
    ("late", "seconds"),
    [
        pytest.param(30.0, 30, id="late"),
        pytest.param(0.0, 0, id="in-time"),
        pytest.param(-5.0, 0, id="early-is-not-negative"),
    ],
)
def test_lateness_is_what_passed_since_an_entry_was_due(app: Celery, late: float, seconds: int):
    found = lateness(entry_of(app, late))
    assert found is not None
    assert round(found) == seconds


def test_an_entry_of_a_crontab_is_late_too(app: Celery):
    """At a fixed time of day: Celery 5.4 has whatever is due before midnight due at midnight."""
    now = datetime(2026, 3, 2, 12, 30, tzinfo=timezone.utc)
    every_minute = crontab(app=app, nowfun=lambda: now)
    entry = SimpleNamespace(last_run_at=now - timedelta(minutes=61), schedule=every_minute)
    assert lateness(entry) == 3600.0


def test_an_entry_that_never_ran_is_not_late():
    """Nobody knows since when it is due."""
    assert lateness(SimpleNamespace(last_run_at=None)) is None
