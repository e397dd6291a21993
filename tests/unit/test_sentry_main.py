"""What main tells Sentry: killed, timed-out, unknown and invalid tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from otel_celery import sentry as room
from otel_celery.guard import Guard
from otel_celery.sentry_main import MainErrors
from otel_celery.settings import Settings
from tests.unit.sentry_server import sentry
from tests.unit.stand_ins import OWN, delivery, ended
from tests.waiting import eventually


@pytest.fixture
def errors() -> Iterator[MainErrors]:
    made = MainErrors(Settings(), Guard())
    made.sdk, made.worker = room._load(), "w@host"
    made.sdk.OTLP.setup_once()
    yield made
    made.close()


def settled(errors: MainErrors) -> None:
    errors.settle(time.monotonic() + 10)


@pytest.mark.parametrize("state", ["timeout", "lost", "unknown", "invalid"])
def test_what_no_code_could_see_is_reported_under_the_reserved_ids(
    errors: MainErrors, state: str
) -> None:
    with sentry() as events:
        errors.witness(ended(delivery("shop.pay"), state, error_type="Gone"))
        settled(errors)
    (event,) = events
    ids = {"trace_id": OWN.trace_id, "span_id": OWN.span_id}
    assert event["contexts"]["trace"] == event["contexts"]["OpenTelemetry"] == ids
    assert event["tags"]["celery.task.state"] == state
    assert event["tags"]["celery.worker.name"] == "w@host"
    assert event["fingerprint"] == ["celery", state, "shop.pay"]
    assert errors._guard.faults == {}


@pytest.mark.parametrize("state", ["success", "failure", "retry", "requeued", "revoked"])
def test_what_another_tells_or_nobody_is_left_alone(errors: MainErrors, state: str) -> None:
    """Failures are captured where they are raised."""
    with sentry() as events:
        errors.witness(ended(delivery(), state, error_type="Gone"))
        settled(errors)
    assert events == []
    assert errors._thread is None


def test_the_applications_choice_of_errors_to_ignore_holds(errors: MainErrors) -> None:
    with sentry(ignore_errors=["WorkerLostError"]) as events:
        errors.witness(ended(delivery(), "lost", error_type="WorkerLostError"))
        errors.witness(ended(delivery(), "timeout", error_type="TimeLimitExceeded"))
        settled(errors)
    assert [event["tags"]["celery.task.state"] for event in events] == ["timeout"]


def test_hooks_of_the_application_hold_up_neither_the_speaker_nor_the_loop(
    errors: MainErrors,
) -> None:
    """They run in a thread of their own; what waits meanwhile is bounded, the rest is counted."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(event: Any, hint: Any) -> Any:
        inside.set()
        go_on.wait(10)
        return event

    with sentry(before_send=slow) as events:
        errors.witness(ended(delivery(), "lost", error_type="Gone"))
        assert inside.wait(10)
        for _ in range(103):
            errors.witness(ended(delivery(), "lost", error_type="Gone"))
        assert events == []
        errors.settle(time.monotonic())  # returns in time, though nothing is settled
        go_on.set()
        settled(errors)
        assert len(events) == 101
    assert errors._guard.faults == {"sentry_backlog": 3}


def test_a_hook_that_raises_costs_its_own_event_only(errors: MainErrors) -> None:
    """Sentry catches it; a fault of ours stays with the guard."""
    with sentry() as events:
        broken = ended(delivery(), "lost", error_type="Gone")._replace(failure=lambda: 1 / 0)
        errors.witness(broken)
        errors.witness(ended(delivery(), "lost", error_type="Gone"))
        settled(errors)
        assert len(events) == 1
    assert errors._guard.faults == {"sentry": 1}


def test_without_a_client_nothing_is_reported(errors: MainErrors) -> None:
    errors.witness(ended(delivery(), "lost", error_type="Gone"))
    settled(errors)
    errors.sdk = None
    errors.witness(ended(delivery(), "lost", error_type="Gone"))
    assert not errors._waiting
    assert errors._guard.faults == {}


def test_in_a_fork_it_is_as_new(errors: MainErrors) -> None:
    """The thread is not there, and what waited is the parent's to tell."""
    errors._waiting.append(ended(delivery(), "lost", error_type="Gone"))
    errors.forget()
    with sentry() as events:
        errors.witness(ended(delivery(), "timeout", error_type="Gone"))
        settled(errors)
    assert [event["tags"]["celery.task.state"] for event in events] == ["timeout"]


def test_a_thread_that_could_not_start_is_tried_again(
    errors: MainErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with sentry() as events:
        with monkeypatch.context() as no_threads:
            no_threads.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError):
                errors.witness(ended(delivery(), "lost", error_type="Gone"))
        errors.witness(ended(delivery(), "timeout", error_type="Gone"))
        settled(errors)
    assert [event["tags"]["celery.task.state"] for event in events] == ["lost", "timeout"]


def test_closed_it_still_tells_what_waited(errors: MainErrors) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(event: Any, hint: Any) -> Any:
        inside.set()
        go_on.wait(10)
        return event

    with sentry(before_send=slow) as events:
        for _ in range(2):
            errors.witness(ended(delivery(), "lost", error_type="Gone"))
        assert inside.wait(10)
        errors.close()
        go_on.set()
        eventually(lambda: len(events) == 2)


def test_closed_it_takes_nothing_more(errors: MainErrors) -> None:
    with sentry():
        errors.witness(ended(delivery(), "lost", error_type="Gone"))
        settled(errors)
        thread = errors._thread
        errors.close()
        assert thread is not None
        eventually(lambda: not thread.is_alive())
        errors.witness(ended(delivery(), "lost", error_type="Gone"))
        assert not errors._waiting
