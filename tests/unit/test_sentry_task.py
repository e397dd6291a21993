"""What Sentry learns of a task from within its process."""

from __future__ import annotations

from typing import Any

import pytest
import sentry_sdk
from celery import Celery
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject
from opentelemetry.context import attach, detach

from otel_celery import sentry as room
from otel_celery.guard import Guard
from otel_celery.sampling import context_of
from otel_celery.sentry_task import TaskErrors
from otel_celery.settings import Settings
from otel_celery.voice import Brokers
from tests.unit.sentry_server import sentry
from tests.unit.stand_ins import OWN

CONSTANT = ValueError("always this one")


@pytest.fixture
def errors() -> TaskErrors:
    made = TaskErrors(Settings(), Guard(), Brokers())
    made.sdk, made.worker = room._load(), "w@host"
    made.sdk.OTLP.setup_once()
    return made


def run(errors: TaskErrors, task: Any, id: str = "id-1", **request: Any) -> Any:
    """Run a task as a pool process does, under the reserved context."""
    told = {"id": id, "delivery_info": {"exchange": "", "routing_key": "orders"}, **request}
    trace = build_tracer(task.name, task, task.app.loader, "w@host", app=task.app)
    token = attach(context_of(OWN))
    try:
        return errors.around(task, trace)(id, (), {}, told)
    finally:
        detach(token)


def raises(app: Celery, exc: BaseException, **options: Any) -> Any:
    """Return a task that raises."""

    def fail(self: Any) -> None:
        raise exc

    return app.task(bind=True, name="shop.pay", shared=False, **options)(fail)


def test_a_failure_that_nobody_captured_is_captured_with_its_frames(
    errors: TaskErrors, app: Celery
) -> None:
    with sentry() as events:
        run(errors, raises(app, ValueError("no")), retries=3)
    (event,) = events
    assert event["exception"]["values"][-1]["mechanism"] == {"type": "celery", "handled": False}
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert [(one["function"], "vars" in one) for one in frames] == [
        ("trace_task", False), ("fail", True)
    ]  # fmt: skip
    assert event["contexts"]["trace"]["span_id"] == OWN.span_id
    assert event["transaction"] == "shop.pay"
    assert event["tags"] == {
        "celery.task.name": "shop.pay", "celery_task_id": "id-1",
        "messaging.destination.name": "orders", "celery.worker.name": "w@host",
        "celery.task.retries": "3", "celery.task.state": "failure",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("exc", "options"),
    [
        pytest.param(Ignore(), {}, id="ignore"),
        pytest.param(Reject("no"), {"acks_late": True}, id="reject"),
        pytest.param(KeyError("known"), {"throws": (KeyError,)}, id="expected"),
        pytest.param(OSError("busy"), {"autoretry_for": (OSError,)}, id="retry"),
    ],
)
def test_what_is_no_final_failure_makes_no_event(
    errors: TaskErrors, app: Celery, exc: Exception, options: dict[str, Any]
) -> None:
    with sentry() as events:
        run(errors, raises(app, exc, **options))
    assert events == []


def test_what_the_task_told_by_itself_is_not_told_again(errors: TaskErrors, app: Celery) -> None:
    @app.task(name="shop.pay", shared=False)
    def tells() -> None:
        try:
            raise ValueError("no")
        except ValueError as exc:
            sentry_sdk.capture_exception(exc)
            raise

    with sentry() as events:
        run(errors, tells)
    (event,) = events
    assert "celery.task.state" not in event["tags"]
    assert event["tags"]["celery_task_id"] == "id-1"


def test_sentrys_integration_is_left_to_tell_once(errors: TaskErrors, app: Celery) -> None:
    """Whoever captures last, what is said twice of one exception is heard once."""
    sdk = errors.sdk

    @app.task(name="shop.pay", shared=False, bind=True)
    def twice(self: Any) -> None:
        try:
            raise ValueError("no")
        except ValueError as exc:
            for _ in range(2):  # as CeleryIntegration does, where deduplication is off
                event, hint = sdk.event_of(
                    exc,
                    client_options=sdk.client().options,
                    mechanism={"type": "celery", "handled": False},
                )
                sdk.forget_last_exception()
                sdk.capture(event, hint=hint)
            raise

    with sentry() as events:
        run(errors, twice)
    assert [event["tags"]["celery.task.state"] for event in events] == ["failure"]


def test_one_exception_object_raised_by_two_tasks_is_two_failures(
    errors: TaskErrors, app: Celery
) -> None:
    task = raises(app, CONSTANT)
    with sentry() as events:
        run(errors, task, "first")
        run(errors, task, "second")
    assert [event["tags"]["celery_task_id"] for event in events] == ["first", "second"]


def test_tasks_are_isolated_from_each_other(errors: TaskErrors, app: Celery) -> None:
    """What one puts on Sentry's scope is not said of the next."""

    @app.task(name="shop.tag", shared=False)
    def tags() -> None:
        sentry_sdk.set_tag("shop", "corner")
        sentry_sdk.add_breadcrumb(message="crumb")
        raise ValueError("no")

    with sentry() as events:
        run(errors, tags)
        run(errors, raises(app, ValueError("no")))
        sentry_sdk.capture_message("outside")
    assert [event["tags"].get("shop") for event in events[:2]] == ["corner", None]
    crumbs = [[one["message"] for one in event["breadcrumbs"]["values"]] for event in events]
    assert crumbs == [["crumb"], [], []]
    assert "tags" not in events[2]


def test_what_sentry_adds_of_arguments_is_taken_out(errors: TaskErrors, app: Celery) -> None:
    """CeleryIntegration puts them on the isolation scope; ours comes after."""

    @app.task(name="shop.pay", shared=False)
    def pays() -> None:
        with sentry_sdk.isolation_scope() as scope:
            scope.set_extra("celery-job", {"task_name": "shop.pay", "args": [4242]})
            sentry_sdk.capture_message("paid")

    with sentry() as events:
        run(errors, pays)
    assert events[0]["extra"]["celery-job"] == {"task_name": "shop.pay"}


def test_without_a_client_a_task_runs_as_ever(errors: TaskErrors, app: Celery) -> None:
    task = raises(app, ValueError("no"))
    assert run(errors, task)[1].state == "FAILURE"
    errors.sdk = None
    assert run(errors, task)[1].state == "FAILURE"


def test_a_fault_of_ours_costs_the_event_and_not_the_task(app: Celery) -> None:
    """An event that could not be freed of arguments does not leave."""
    guard = Guard()
    errors = TaskErrors(Settings(), guard, Brokers())
    errors.sdk = room._load()
    with sentry() as events:
        result = run(errors, raises(app, ValueError("no")), retries="many")
    assert result[1].state == "FAILURE"
    assert events == []
    assert guard.faults == {"sentry": 1}
