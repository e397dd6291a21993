"""The pool process: context around the task body."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_celery import conventions as c
from otel_celery.execution import Execution, current_task, current_task_id
from otel_celery.otlp import Limits
from tests.unit.stand_ins import OWN, Voice

OK = ("result", None, "SUCCESS", "'result'")
FAILED = (None, "info", "FAILURE", "")
REQUEST = {"delivery_info": {c.HANDLE: (OWN.header(), OWN.state)}}


TASK = SimpleNamespace(name="shop.pay")


class Notes(list[tuple[str, bytes, int]]):
    """What was told to main."""

    def __call__(self, *said: Any) -> None:
        self.append(said)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def execution(voice: Voice, notes: Notes) -> Execution:
    return Execution(voice, notes, Limits())


def run(execution: Execution, body: Any, request: Any = REQUEST, result: Any = OK) -> Any:
    """Run a body as Celery would, by the trace function of its task."""

    def celery_trace(uuid: str, args: Any, kwargs: Any, request: Any) -> Any:
        body()
        return result

    return execution.around(TASK, celery_trace)("id-1", (), {}, request)


def test_the_body_runs_in_the_context_that_main_reserved(execution: Execution):
    seen: list[Any] = []

    def body() -> None:
        span = trace.get_current_span()
        found = span.get_span_context()
        seen.append((found.trace_id, found.span_id, span.is_recording(), current_task_id()))

    before = get_current()
    assert run(execution, body) == OK
    assert seen == [(int(OWN.trace_id, 16), int(OWN.span_id, 16), True, "id-1")]
    assert (get_current(), current_task_id()) == (before, "")


def test_nothing_of_the_task_before_leaks_into_this_one(execution: Execution):
    seen: dict[str, object] = {}
    token = attach(set_value("left", "over"))
    try:
        run(execution, lambda: seen.update(get_current()))
    finally:
        detach(token)
    assert len(seen) == 2  # the span and the task's id
    assert "left" not in seen


def test_a_success_on_which_nothing_was_said_tells_nothing(execution: Execution, notes: Notes):
    """Celery itself tells main how long it took."""
    run(execution, lambda: None)
    assert notes == []


def test_what_user_code_says_goes_to_main_with_the_end(execution: Execution, notes: Notes):
    before = time.monotonic_ns()
    run(execution, lambda: trace.get_current_span().set_attribute("order", 7))
    ((span_id, partial, end_mono),) = notes
    assert span_id == OWN.span_id
    assert [(a.key, a.value.int_value) for a in Span.FromString(partial).attributes] == [
        ("order", 7)
    ]
    assert before <= end_mono <= time.monotonic_ns()


def test_anything_but_a_success_tells_its_end(execution: Execution, notes: Notes):
    """Celery gives main no run time then."""
    assert run(execution, lambda: None, result=FAILED) == FAILED
    assert [said[:2] for said in notes] == [(OWN.span_id, b"")]


@pytest.mark.parametrize(
    "alarm", [SystemExit(3), SoftTimeLimitExceeded(), KeyError("x")], ids=lambda a: repr(a)
)
def test_what_flies_out_of_a_task_passes_and_leaves_its_context(
    execution: Execution, notes: Notes, alarm: BaseException
):
    def body() -> None:
        raise alarm

    before = get_current()
    with pytest.raises(type(alarm)) as raised:
        run(execution, body)
    assert (raised.value, get_current()) == (alarm, before)
    assert [said[:2] for said in notes] == [(OWN.span_id, b"")]


def test_an_unsampled_task_has_ids_and_no_recording(execution: Execution, notes: Notes):
    """So that what it calls is not sampled either."""
    seen: list[Any] = []

    def body() -> None:
        span = trace.get_current_span()
        span.set_attribute("order", 7)
        flags = span.get_span_context().trace_flags
        seen.append((span.get_span_context().is_valid, flags.sampled, span.is_recording()))

    unsampled = (OWN._replace(sampled=False).header(), OWN.state)
    run(execution, body, {"delivery_info": {c.HANDLE: unsampled}})
    assert (seen, notes) == ([(True, False, False)], [])


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(None, id="no-request"),
        pytest.param({}, id="no-delivery-info"),
        pytest.param({"delivery_info": None}, id="none"),
        pytest.param({"delivery_info": {}}, id="a-main-without-us"),
    ],
)
def test_a_task_of_which_main_reserved_nothing_runs_as_without_us(
    execution: Execution, voice: Voice, request_: Any
):
    before = get_current()
    seen: list[Any] = []
    assert run(execution, lambda: seen.append(get_current()), request_) == OK
    assert (seen, voice.guard.faults) == ([before], {})


@pytest.mark.parametrize(
    ("named", "seen"), [(True, {"tenant": "a"}), (False, {})], ids=["asked-for", "not-asked-for"]
)
def test_baggage_comes_in_only_where_it_was_asked_for(
    execution: Execution, voice: Voice, named: bool, seen: dict[str, str]
):
    """Whoever can send a message can send baggage."""
    voice.baggage = W3CBaggagePropagator() if named else None
    found: dict[str, Any] = {}
    run(
        execution,
        lambda: found.update(baggage.get_all()),
        {**REQUEST, "baggage": "tenant=a"},
    )
    assert found == seen


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(7, id="number"),
        pytest.param({"tenant": "a"}, id="dict"),
        pytest.param([7], id="list"),
        pytest.param("tenant=a," * 200_000, id="huge"),
        pytest.param(None, id="none"),
    ],
)
def test_malformed_baggage_is_absent_and_costs_no_context(
    execution: Execution, voice: Voice, header: Any
):
    """The task's own span has nothing to do with it."""
    voice.baggage = W3CBaggagePropagator()
    found: list[Any] = []

    def body() -> None:
        found.append((trace.get_current_span().get_span_context().span_id, baggage.get_all()))

    run(execution, body, {**REQUEST, "baggage": header})
    assert found == [(int(OWN.span_id, 16), {})]
    assert not voice.guard.faults


@pytest.mark.parametrize(
    ("hook", "inner"), [("execution", "_attach"), ("executed", "_detach")], ids=["before", "after"]
)
def test_a_fault_of_ours_is_counted_and_changes_nothing(
    voice: Voice, notes: Notes, monkeypatch: pytest.MonkeyPatch, hook: str, inner: str
):
    def fault(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Execution, inner, fault)
    execution = Execution(voice, notes, Limits())
    token = attach(get_current())  # what the fault leaves attached is taken away here
    try:
        assert run(execution, lambda: None) == OK
        with pytest.raises(KeyError):
            run(execution, lambda: {}["x"])
    finally:
        detach(token)
    assert voice.guard.faults == {hook: 2}


def test_a_handle_that_is_no_context_is_a_fault_and_the_task_runs(
    execution: Execution, voice: Voice
):
    assert run(execution, lambda: None, {"delivery_info": {c.HANDLE: (None, 5)}}) == OK
    assert voice.guard.faults == {"execution": 1}


@pytest.mark.parametrize("fails", [False, True], ids=["prepared", "could-not-be-prepared"])
def test_what_comes_before_the_first_task_comes_once(voice: Voice, notes: Notes, fails: bool):
    """Where it fails the first task runs as without us, and the second with its context."""
    prepared: list[int] = []

    def prepare() -> None:
        prepared.append(1)
        if fails:
            raise RuntimeError("ours")

    execution = Execution(voice, notes, Limits(), prepare)
    seen: list[str] = []
    for _ in range(2):
        assert run(execution, lambda: seen.append(current_task_id())) == OK
    assert prepared == [1]
    assert seen == ["" if fails else "id-1", "id-1"]
    assert voice.guard.faults == ({"execution": 1} if fails else {})


def test_a_running_task_has_an_id_and_a_name(execution: Execution):
    seen: list[Any] = []
    run(execution, lambda: seen.append(current_task()))
    assert [*seen, current_task()] == [("id-1", "shop.pay"), None]


def test_what_comes_after_a_task_comes_after_its_notes(voice: Voice, notes: Notes):
    """Log records that had to wait have their chance when the task has ended."""
    execution = Execution(voice, notes, Limits(), after=lambda: notes.append("after"))
    run(execution, lambda: trace.get_current_span().set_attribute("a", 1))
    run(execution, lambda: None)
    assert [type(said) for said in notes] == [tuple, str, str]
