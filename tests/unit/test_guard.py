"""Where do faults of ours stop?"""

from __future__ import annotations

import logging

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from otel_celery.guard import Guard


class Clock:
    """Monotonic seconds that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(clock)


def broken(*_: object, **__: object) -> str:
    raise RuntimeError("ours")


def test_what_works_is_handed_through(guard: Guard):
    call = guard("hook", lambda a, *, b: (a, b))
    assert (call(1, b=2), guard.faults) == ((1, 2), {})


def test_a_fault_gives_none_and_is_counted_by_hook(guard: Guard):
    assert [guard("one", broken)(), guard("one", broken)(1), guard("two", broken)(b=2)] == [
        None
    ] * 3
    assert guard.faults == {"one": 2, "two": 1}


@pytest.mark.parametrize(
    "alarm",
    [
        pytest.param(SoftTimeLimitExceeded(), id="the-task-s-time-limit"),
        pytest.param(SystemExit(1), id="exit"),
        pytest.param(KeyboardInterrupt(), id="interrupt"),
    ],
)
def test_an_alarm_that_is_not_ours_passes(guard: Guard, alarm: BaseException):
    def ring() -> None:
        raise alarm

    with pytest.raises(type(alarm)) as raised:
        guard("hook", ring)()
    assert (raised.value, guard.faults) == (alarm, {})


def test_a_fault_is_logged_once_a_minute_for_each_hook(
    guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
):
    """With its traceback; a hook that fails for every task fills no disk."""
    for clock.now in (0, 59.9, 60, 61, 119.9, 120):
        guard("one", broken)()
    guard("two", broken)()
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "otel-celery: fault in one",
        "otel-celery: fault in one",
        "otel-celery: fault in one",
        "otel-celery: fault in two",
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {
        ("otel_celery", logging.ERROR)
    }
    for record in caplog.records:
        assert record.getMessage().endswith("RuntimeError: ours")
        assert "in broken" in record.getMessage()
        assert not record.exc_info
    assert guard.faults == {"one": 6, "two": 1}


def test_what_is_logged_of_a_fault_has_no_credentials_and_no_frames(
    guard: Guard, caplog: pytest.LogCaptureFixture
):
    """Sentry's logging integration would tell every local variable of a frame."""

    def connect(argument: str) -> None:
        raise ConnectionError("no answer from amqp://me:pa55@broker//")

    guard("hook", connect)("4111")
    (record,) = caplog.records
    assert "ConnectionError: no answer from amqp://***@broker//" in record.getMessage()
    assert not record.exc_info
    assert "pa55" not in record.getMessage()
    assert not any(isinstance(each, BaseException) for each in record.args or ())


def test_a_guarded_hook_keeps_its_name(guard: Guard):
    assert guard("hook", broken).__name__ == "broken"
