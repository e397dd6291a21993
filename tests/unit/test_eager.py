"""A task runs in its caller: `apply()` and `task_always_eager` send no message."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from opentelemetry import context, trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_celery.eager import EagerTasks
from otel_celery.envelope import NO_PARENT
from otel_celery.facts import Eager, Failure
from otel_celery.otlp import Limits
from otel_celery.sampling import Decision, context_of
from tests.unit.stand_ins import SENDER, Asked, Voice


@pytest.fixture
def observed(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    observe(voice, monkeypatch)


def observe(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "apply", EagerTasks(voice, Limits()).around(Task.apply))


def task_that(app: Celery, body: Any, **options: Any) -> Any:
    """Make a task whose body calls `body` with the task."""

    def pay(self: Any) -> Any:
        return body(self)

    return app.task(pay, name="shop.pay", bind=True, shared=False, **options)


def raises(exc: BaseException) -> Any:
    def body(task: Any) -> None:
        raise exc

    return body


@pytest.mark.usefixtures("observed")
def test_an_eager_task_is_told_as_a_child_of_its_caller(app: Celery, voice: Voice):
    seen: list[Any] = []

    def body(task: Any) -> str:
        span = trace.get_current_span()
        span.set_attribute("order", 7)
        seen.append(f"{span.get_span_context().span_id:016x}")
        return "done"

    token = context.attach(context_of(SENDER))
    before = trace.get_current_span()
    try:
        result = task_that(app, body).apply(task_id="id-1")
        assert trace.get_current_span() is before
    finally:
        context.detach(token)
    assert result.get() == "done"
    (fact,) = voice.told
    assert fact._replace(start_ns=0, duration_ns=0, notes=b"") == Eager(
        "shop.pay", "id-1", fact.own, SENDER.span_id, 0, 0, "success", None, False, b""
    )
    assert (fact.own.trace_id, [fact.own.span_id]) == (SENDER.trace_id, seen)
    assert [note.key for note in Span.FromString(fact.notes).attributes] == ["order"]
    assert (fact.start_ns > 0, fact.duration_ns > 0) == (True, True)


@pytest.mark.usefixtures("observed")
def test_an_eager_task_without_a_current_span_is_a_root(app: Celery, voice: Voice):
    task_that(app, lambda task: None).apply()
    assert [fact.parent_id for fact in voice.told] == [NO_PARENT]


@pytest.mark.parametrize(
    ("body", "options", "told"),
    [
        pytest.param(
            raises(KeyError("x")),
            {},
            ("failure", Failure("KeyError", "builtins.KeyError", "'x'", ""), False),
            id="failure",
        ),
        pytest.param(
            raises(KeyError("x")),
            {"throws": (KeyError,)},
            ("failure", Failure("KeyError", "builtins.KeyError", "'x'", ""), True),
            id="expected",
        ),
        pytest.param(
            lambda task: task.retry(exc=KeyError("x"), max_retries=0),
            {},
            ("failure", Failure("KeyError", "builtins.KeyError", "'x'", ""), False),
            id="retries-used-up",
        ),
        pytest.param(raises(Ignore()), {}, ("ignored", None, False), id="ignored"),
        pytest.param(raises(Reject()), {}, ("rejected", None, False), id="rejected"),
    ],
)
@pytest.mark.usefixtures("observed")
def test_how_an_eager_task_ended(
    app: Celery, voice: Voice, body: Any, options: dict[str, Any], told: Any
):
    task_that(app, body, **options).apply()
    (fact,) = voice.told
    failure = fact.failure and fact.failure._replace(traceback="")
    assert (fact.state, failure, fact.expected) == told
    assert bool(fact.failure and fact.failure.traceback) == bool(told[1])


@pytest.mark.usefixtures("observed")
def test_a_retry_in_the_caller_runs_at_once_as_a_child_of_the_first(app: Celery, voice: Voice):
    def body(task: Any) -> str:
        if not task.request.retries:
            raise task.retry(exc=OSError("gone"), countdown=0)
        return "done"

    assert task_that(app, body).apply().get() == "done"
    inner, outer = voice.told
    assert (inner.state, inner.parent_id) == ("success", outer.own.span_id)
    assert outer.parent_id == NO_PARENT
    assert voice.guard.faults == {}


@pytest.mark.usefixtures("observed")
def test_what_the_caller_asked_to_be_raised_is_raised_and_told(app: Celery, voice: Voice):
    gone = KeyError("x")
    before = trace.get_current_span()
    with pytest.raises(KeyError) as raised:
        task_that(app, raises(gone)).apply(throw=True)
    assert raised.value is gone
    assert trace.get_current_span() is before
    assert [(fact.state, fact.failure.type) for fact in voice.told] == [("failure", "KeyError")]


@pytest.mark.usefixtures("observed")
def test_an_eager_task_that_is_not_sampled_is_not_recording(app: Celery, voice: Voice):
    voice.decide = Asked(lambda *_: Decision(False, "", {}))
    seen: list[bool] = []
    task_that(app, lambda _: seen.append(trace.get_current_span().is_recording())).apply()
    assert (seen, [fact.own.sampled for fact in voice.told]) == ([False], [False])


@pytest.mark.parametrize("inner", ["_begin", "_finish"], ids=["before", "after"])
def test_a_fault_of_ours_is_counted_and_changes_nothing(
    app: Celery, voice: Voice, monkeypatch: pytest.MonkeyPatch, inner: str
):
    def fault(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(EagerTasks, inner, fault)
    observe(voice, monkeypatch)
    token = context.attach(context.get_current())  # what the fault leaves attached ends here
    try:
        assert task_that(app, lambda task: "done").apply().get() == "done"
    finally:
        context.detach(token)
    assert voice.guard.faults == {"eager": 1}
