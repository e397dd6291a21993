"""What does Celery tell a request?

The order of callbacks was seen on Celery 5.4 to 5.7; main must say one word for each delivery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from signal import SIGTERM
from threading import Barrier
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import Celery, states
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from celery.worker import state as worker_state
from celery.worker.request import Request
from kombu.exceptions import EncodeError
from opentelemetry import trace

from otel_celery.conventions import HANDLE
from otel_celery.delivery import Deliveries
from otel_celery.facts import Delivery, Ended, Failure, Started
from otel_celery.outcome import HowEnded
from otel_celery.request import observed
from otel_celery.voice import Brokers
from tests.unit.stand_ins import Voice, make_request, next_message, request_of

Steps = Callable[[Any], object]

late = {"acks_late": True}


def pay() -> None:
    """A task's body, which no test here runs."""


@pytest.fixture(autouse=True)
def forgetful_celery() -> Iterator[None]:
    """Celery keeps what a worker holds in module globals."""
    yield
    worker_state.reset_state()
    worker_state.should_terminate = None


@pytest.fixture
def received(app: Celery, deliveries: Deliveries) -> Callable[..., Any]:
    """Return a function that lets main receive a message of a task made with these options."""

    def receive(publish: dict[str, Any] | None = None, **options: Any) -> Any:
        task = app.task(pay, shared=False, name="shop.pay", **options)
        return make_request(task, observed(Request, deliveries), **(publish or {}))

    return receive


def outcomes(voice: Voice) -> list[tuple[str, str | None]]:
    return [(fact.state, fact.error_type) for fact in voice.told if isinstance(fact, Ended)]


def info_of(exc: BaseException) -> ExceptionInfo:
    """Return what a pool process sends of an exception."""
    try:
        raise exc
    except BaseException:  # noqa: BLE001 - SystemExit is one of them
        return ExceptionInfo()


def accept(request: Any) -> None:
    request.on_accepted(4242, time.monotonic())


def succeed(request: Any) -> None:
    request.on_success((0, "None", 0.001))


def fail(exc: BaseException) -> Steps:
    """A pool process tells a failure as a result."""
    return lambda request: request.on_success((1, info_of(exc), None))


def broken(exc: BaseException) -> Steps:
    """The pool tells of what happened to its process."""
    return lambda request: request.on_failure(info_of(exc), True, False)


def leave(request: Any) -> None:
    """A task calls sys.exit; Celery 5.4 cannot store that as JSON, and we speak all the same."""
    with suppress(EncodeError):
        broken(SystemExit(3))(request)


def bare(exc: BaseException) -> Steps:
    """In-process pools hand a sys.exit over as it is, and Celery stumbles over it."""

    def hand_over(request: Any) -> None:
        with pytest.raises(TypeError):
            request.on_success(info_of(exc))

    return hand_over


def soft_limit(request: Any) -> None:
    request.on_timeout(True, 1)


def hard_limit(request: Any) -> None:
    request.on_timeout(False, 1)


def revoke(*said: Any) -> Steps:
    return lambda request: request._announce_revoked(*said)


def cancel(request: Any) -> None:
    request._announce_cancelled()


def stop_at_once(_: Any) -> None:
    """A cold stop before Celery 5.5."""
    worker_state.should_terminate = 0


LOST = WorkerLostError("signal 9")
terminate = revoke("terminated", True, SIGTERM, False)


@pytest.mark.parametrize(
    ("options", "steps", "outcome"),
    [
        pytest.param({}, [accept, succeed], ("success", None), id="success"),
        pytest.param(late, [accept, succeed], ("success", None), id="success-acknowledged-late"),
        pytest.param({}, [accept, fail(KeyError("x"))], ("failure", "KeyError"), id="failure"),
        pytest.param(
            {},
            [accept, soft_limit, fail(SoftTimeLimitExceeded())],
            ("failure", "SoftTimeLimitExceeded"),
            id="soft-limit",
        ),
        pytest.param({}, [accept, soft_limit, succeed], ("success", None), id="soft-limit-caught"),
        pytest.param(
            {}, [accept, fail(Retry("again", OSError("x")))], ("retry", "OSError"), id="retry"
        ),
        pytest.param({}, [accept, fail(Retry("again"))], ("retry", None), id="retry-for-no-reason"),
        pytest.param({}, [accept, fail(Ignore())], ("ignored", None), id="ignored"),
        pytest.param({}, [accept, fail(Reject("no"))], ("rejected", None), id="rejected"),
        pytest.param(
            late, [accept, fail(Reject("no", requeue=True))], ("requeued", None), id="requeued"
        ),
        pytest.param(
            {},
            [accept, broken(TimeLimitExceeded(1)), hard_limit],
            ("timeout", "TimeLimitExceeded"),
            id="hard-limit-is-told-twice",
        ),
        pytest.param(
            {}, [accept, hard_limit], ("timeout", "TimeLimitExceeded"), id="hard-limit-told-once"
        ),
        pytest.param({}, [accept, broken(LOST)], ("lost", "WorkerLostError"), id="killed"),
        pytest.param(
            {**late, "reject_on_worker_lost": True},
            [accept, broken(LOST)],
            ("requeued", "WorkerLostError"),
            id="killed-and-sent-back",
        ),
        pytest.param({}, [accept, leave], ("lost", "WorkerLostError"), id="exit"),
        pytest.param(
            {}, [accept, bare(SystemExit(3))], ("lost", "WorkerLostError"), id="exit-of-a-thread"
        ),
        pytest.param(
            {},
            [accept, terminate, broken(Terminated(SIGTERM))],
            ("revoked", "Terminated"),
            id="revoked-while-running",
        ),
        pytest.param(
            {},
            [accept, terminate, broken(LOST)],
            ("revoked", "Terminated"),
            id="revoked-and-killed",
        ),
        pytest.param({}, [accept, terminate, succeed], ("success", None), id="survived-the-signal"),
        pytest.param(
            {},
            [accept, broken(Terminated(SIGTERM))],
            ("revoked", "Terminated"),
            id="terminated-by-somebody",
        ),
        pytest.param({}, [revoke("revoked", False, None, False)], ("revoked", None), id="revoked"),
        pytest.param({}, [revoke("expired", False, None, True)], ("expired", None), id="expired"),
        pytest.param(
            {}, [accept, cancel, broken(Terminated(SIGTERM))], ("retry", None), id="cold-stop"
        ),
        pytest.param(
            late,
            [accept, cancel, broken(Terminated(SIGTERM))],
            ("requeued", None),
            id="cold-stop-acknowledged-late",
        ),
        pytest.param(
            {},
            [accept, stop_at_once, broken(LOST)],
            ("retry", None),
            id="cold-stop-before-5.5",
        ),
        pytest.param({}, [lambda r: r.acknowledge()], ("delegated", None), id="delegated"),
        pytest.param(
            {}, [lambda r: r.reject()], ("invalid", "InvalidTaskError"), id="rejected-unbegun"
        ),
        pytest.param(
            {}, [lambda r: r.reject(requeue=True)], ("returned", None), id="sent-back-unbegun"
        ),
        pytest.param(
            {"throws": (KeyError,)},
            [accept, fail(KeyError("x"))],
            ("failure", "KeyError"),
            id="expected",
        ),
    ],
)
def test_each_order_of_callbacks_gives_one_word(
    received: Callable[..., Any],
    voice: Voice,
    options: dict[str, Any],
    steps: list[Steps],
    outcome: tuple[str, str | None],
):
    request = received(**options)
    for step in steps:
        step(request)
    assert outcomes(voice) == [outcome]
    assert voice.guard.faults == {}


def test_the_facts_of_a_delivery_come_in_their_order(received: Callable[..., Any], voice: Voice):
    request = received()
    before = time.monotonic_ns()
    accept(request)
    request.on_success((0, "None", 1e-9))
    delivery = request._otel
    received_fact, started, last = voice.told
    assert (received_fact, started) == (delivery, Started(delivery))
    assert delivery.headers is request._request_dict
    assert (delivery.pid, before <= delivery.start_mono <= last.end_mono) == (4242, True)
    assert delivery.runtime == 1e-9
    assert last._replace(end_ns=0, end_mono=0) == Ended(
        delivery, "success", None, False, False, 0, 0, None
    )


def test_an_expected_failure_says_so(received: Callable[..., Any], voice: Voice):
    request = received(throws=(KeyError,))
    accept(request)
    fail(KeyError("x"))(request)
    assert (voice.told[-1].error, voice.told[-1].expected) == (False, True)


class Unpicklable(Exception):
    """Of a pool process only."""


@pytest.mark.parametrize(
    ("steps", "failure"),
    [
        pytest.param(
            fail(KeyError("x")), ("KeyError", "builtins.KeyError", "'x'"), id="as-it-was-raised"
        ),
        pytest.param(
            fail(Retry("again", OSError("gone"))), ("OSError", "builtins.OSError", "gone"),
            id="a-retry-tells-its-cause",
        ),
        pytest.param(
            hard_limit,
            (
                "TimeLimitExceeded",
                "billiard.exceptions.TimeLimitExceeded",
                str(TimeLimitExceeded(1)),
            ),
            id="hard-limit",
        ),
    ],
)  # fmt: skip
def test_the_exception_is_told_as_text(
    received: Callable[..., Any], voice: Voice, steps: Steps, failure: tuple[str, ...]
):
    request = received()
    accept(request)
    steps(request)
    told = voice.told[-1].failure()
    assert told[:3] == failure
    assert isinstance(told, Failure)


def test_a_result_that_was_stored_before_the_process_died_is_a_success(
    received: Callable[..., Any], voice: Voice, app: Celery
):
    """Celery 5.7 looks into the backend, and so takes it."""
    request = received()
    if not hasattr(Request, "_success_was_stored"):
        pytest.skip("Celery before 5.7 does not look")
    accept(request)
    app.backend.store_result(request.id, None, states.SUCCESS)
    broken(LOST)(request)
    assert outcomes(voice) == [("success", None)]


def test_a_lost_process_that_celery_retries_is_a_retry(
    received: Callable[..., Any], voice: Voice, app: Celery
):
    if not hasattr(Request, "_retry_worker_lost"):
        pytest.skip("Celery before 5.7 does not retry")
    request = received(retry_on_worker_lost=True, max_retries=3)
    accept(request)
    broken(LOST)(request)
    assert outcomes(voice) == [("retry", "WorkerLostError")]


def test_what_main_publishes_for_a_task_is_caused_by_it(
    received: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    """An errback of a killed task belongs to its trace."""
    request = received()
    accept(request)
    seen: list[str] = []

    def look(*_: Any, **__: Any) -> None:
        seen.append(f"{trace.get_current_span().get_span_context().span_id:016x}")

    monkeypatch.setattr(request.task.backend, "mark_as_failure", look)
    broken(LOST)(request)
    hard_limit(request)
    assert seen == [request._otel.own.span_id] * 2
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("round_", range(20))
def test_two_threads_that_end_one_delivery_give_one_word(
    received: Callable[..., Any], deliveries: Deliveries, voice: Voice, round_: int
):
    request = received()
    accept(request)
    both = Barrier(2)

    def end(how: HowEnded) -> None:
        both.wait()
        deliveries.end(request._otel, how)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(end, [HowEnded.RETURNED_VALUE, HowEnded.LOST]))
    assert len(outcomes(voice)) == 1
    assert voice.guard.faults == {}


class Users(Request):
    """A Request class of the user's own."""

    heard: list[str]

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.heard = ["accepted"]
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False):
        self.heard.append("failed")  # and no word to Celery's

    def on_timeout(self, soft: bool, timeout: float) -> None:
        self.heard.append("timeout")


def test_a_users_request_class_hears_all_that_it_heard_before(
    app: Celery, voice: Voice, deliveries: Deliveries
):
    task = app.task(pay, shared=False, name="shop.pay")
    request = make_request(task, observed(Users, deliveries))
    accept(request)
    fail(KeyError("x"))(request)
    soft_limit(request)
    assert request.heard == ["accepted", "failed", "timeout"]
    assert outcomes(voice) == [("failure", "KeyError")]


def test_a_dressed_class_goes_by_its_own_name(deliveries: Deliveries):
    """It appears in logs and in `inspect`."""
    dressed = observed(Users, deliveries)
    assert issubclass(dressed, Users)
    assert (dressed.__name__, dressed.__qualname__, dressed.__module__) == (
        Users.__name__,
        Users.__qualname__,
        Users.__module__,
    )


def test_what_the_pool_holds_is_noted(received: Callable[..., Any]):
    """It may still run when the connection is lost."""
    request = received()
    assert not request._otel.handed
    request.execute_using_pool(None)
    assert request._otel.handed


@pytest.mark.parametrize(
    ("options", "steps", "settled"),
    [
        pytest.param({}, [accept, succeed], ["acknowledged"], id="early"),
        pytest.param(late, [accept, succeed], ["acknowledged"], id="late"),
        pytest.param({}, [accept, terminate], ["acknowledged"], id="terminated"),
        pytest.param(late, [accept, fail(Reject("", requeue=True))], ["requeued"], id="requeued"),
        pytest.param({}, [lambda r: r.reject()], ["rejected"], id="rejected"),
    ],
)
def test_messages_are_settled_as_without_us(
    app: Celery,
    received: Callable[..., Any],
    options: dict[str, Any],
    steps: list[Steps],
    settled: list[str],
):
    request = received(**options)
    plain = request_of(request.task, Request, request.message)
    for each in (request, plain):
        for step in steps:
            step(each)
    assert (request.settled, plain.settled) == (settled, settled)


HOOKS = {
    "received": "receive",
    "started": "start",
    "ended": "end",
    "settled": "settle",
    "rejected": "never_began",
}


@pytest.mark.parametrize(
    ("hook", "inner", "steps"),
    [
        pytest.param("received", "_receive", [accept, succeed], id="received"),
        pytest.param("started", "_start", [accept, succeed], id="started"),
        pytest.param("ended", "_end", [accept, succeed], id="ended"),
        pytest.param("ended", "_end", [accept, hard_limit], id="timed-out"),
        pytest.param("settled", "_settle", [accept, fail(KeyError("x"))], id="failed"),
        pytest.param("rejected", "_never_began", [lambda r: r.acknowledge()], id="acknowledged"),
    ],
)
def test_a_fault_of_ours_is_counted_and_changes_nothing_for_the_task(
    app: Celery,
    voice: Voice,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    inner: str,
    steps: list[Steps],
):
    def fault(*_: Any, **__: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Deliveries, inner, fault)
    task = app.task(pay, shared=False, name="shop.pay")
    request = make_request(task, observed(Request, Deliveries(voice, Brokers())))
    plain = request_of(task, Request, request.message)
    for each in (request, plain):
        for step in steps:
            step(each)
    assert voice.guard.faults == {hook: 1}
    assert request.settled == plain.settled
    assert app.backend.get_state(request.id) == app.backend.get_state(plain.id)


def test_a_message_may_hold_anything_as_headers(app: Celery, voice: Voice, deliveries: Deliveries):
    """It comes from whoever can send one: a new trace, and nothing else is lost."""
    task = app.task(pay, shared=False, name="shop.pay")
    task.apply_async()
    message = next_message(app)
    message.headers.update(traceparent=b"\xff", tracestate=7, headers="text")
    del message.headers["traceparent"]
    request = request_of(task, observed(Request, deliveries), message)
    assert (request._otel.parent, voice.guard.faults) == (None, {})


def test_a_delivery_has_the_name_of_its_task_whatever_a_shadow_says(
    received: Callable[..., Any], voice: Voice
):
    """A shadow is for people who read logs: it may be another for each message."""
    received({"shadow": "pay 4711"})
    assert [fact.name for fact in voice.told if isinstance(fact, Delivery)] == ["shop.pay"]


def test_what_inspect_shows_is_what_it_shows_without_us(received: Callable[..., Any]) -> None:
    """The key stays on its way to the pool process."""
    request = received()
    bare = {key: text for key, text in request.delivery_info.items() if key != HANDLE}
    assert request.info()["delivery_info"] == request.info(safe=True)["delivery_info"] == bare
    assert HANDLE in request.delivery_info
