"""How did a delivery end, by the exception that the pool reports?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.serialization import get_pickleable_exception
from celery.worker import state as worker_state

from otel_celery.ending import classify, expected_by, failure_of_info, plain
from otel_celery.outcome import HowEnded
from tests.unit.stand_ins import delivery


class Local(Exception):
    """Main may not know the class: it comes as a stand-in of the same name."""


def info_of(exc: BaseException) -> ExceptionInfo:
    try:
        raise exc
    except BaseException:  # noqa: BLE001 - SystemExit is one of them
        return ExceptionInfo()


def classified(exc: BaseException, late: bool = False, **noted: Any) -> Any:
    info = info_of(exc)
    return classify(info, plain(info), delivery(**noted), late=late)


@pytest.mark.parametrize(
    ("exc", "how"),
    [
        pytest.param(KeyError("x"), (HowEnded.RAISED, "KeyError"), id="an-exception"),
        pytest.param(MemoryError(), (HowEnded.RAISED, "MemoryError"), id="no-memory"),
        pytest.param(Retry("", OSError()), (HowEnded.RETRY, "OSError"), id="retry"),
        pytest.param(Retry(""), (HowEnded.RETRY, None), id="retry-for-no-reason"),
        pytest.param(Reject(""), (HowEnded.REJECT, None), id="reject"),
        pytest.param(Reject("", requeue=True), (HowEnded.REQUEUE, None), id="requeue"),
        pytest.param(Ignore(), (HowEnded.IGNORE, None), id="ignore"),
        pytest.param(
            TimeLimitExceeded(1), (HowEnded.TIMEOUT, "TimeLimitExceeded"), id="hard-limit"
        ),
        pytest.param(Terminated(15), (HowEnded.TERMINATED, None), id="terminated"),
        pytest.param(WorkerLostError(), (HowEnded.LOST, "WorkerLostError"), id="lost"),
        pytest.param(SystemExit(0), (HowEnded.LOST, "WorkerLostError"), id="exit"),
        pytest.param(KeyboardInterrupt(), (HowEnded.LOST, "WorkerLostError"), id="interrupt"),
    ],
)
def test_an_exception_says_how_it_ended(exc: BaseException, how: Any):
    assert classified(exc) == how


LOST = "WorkerLostError"


@pytest.mark.parametrize("exc", [WorkerLostError(), SystemExit(1)], ids=["lost", "exit"])
@pytest.mark.parametrize(
    ("noted", "late", "how"),
    [
        pytest.param({"reason": "terminated"}, False, (HowEnded.TERMINATED, None), id="revoked"),
        pytest.param({"reason": "cancelled"}, False, (HowEnded.CANCELLED, None), id="cancelled"),
        pytest.param({"reason": "requeued"}, True, (HowEnded.REQUEUE, None), id="cancelled-late"),
        pytest.param({"reason": "stored"}, False, (HowEnded.RETURNED_VALUE, None), id="stored"),
        pytest.param({"reason": "retried"}, False, (HowEnded.RETRY, LOST), id="retried"),
        pytest.param({"requeue": True}, True, (HowEnded.REQUEUE, LOST), id="sent-back"),
        pytest.param({"requeue": False}, True, (HowEnded.LOST, LOST), id="rejected"),
    ],
)
def test_what_celery_decided_wins_over_a_lost_process(
    exc: BaseException, noted: dict[str, Any], late: bool, how: Any
):
    assert classified(exc, late, **noted) == how


@pytest.mark.parametrize(
    ("code", "late", "how"),
    [
        pytest.param(0, False, HowEnded.CANCELLED, id="exit-code-0-is-no-False"),
        pytest.param(1, True, HowEnded.REQUEUE, id="acknowledged-late"),
        pytest.param(False, False, HowEnded.LOST, id="no-stop"),
        pytest.param(None, False, HowEnded.LOST, id="none"),
    ],
)
def test_a_cold_stop_before_celery_5_5_comes_as_a_lost_process(
    monkeypatch: pytest.MonkeyPatch, code: Any, late: bool, how: HowEnded
):
    monkeypatch.setattr(worker_state, "should_terminate", code)
    assert classified(WorkerLostError(), late)[0] is how


def test_an_exception_that_cannot_be_pickled_keeps_its_name():
    info = info_of(Local("why"))
    info.exception = get_pickleable_exception(Local("why"))
    assert classify(info, plain(info), delivery(), late=False) == (HowEnded.RAISED, "Local")
    told = failure_of_info(plain(info), info)
    assert (told.type, told.qualified, told.message) == ("Local", f"{__name__}.Local", "why")


@pytest.mark.parametrize(
    ("throws", "kind", "expected"),
    [
        pytest.param((KeyError,), KeyError, True, id="listed"),
        pytest.param([LookupError], KeyError, True, id="a-class-above-it"),
        pytest.param(KeyError, KeyError, True, id="one-class-alone"),
        pytest.param((KeyError,), OSError, False, id="another"),
        pytest.param((), KeyError, False, id="nothing-listed"),
        pytest.param(None, KeyError, False, id="none"),
        pytest.param((KeyError,), "KeyError", False, id="no-class"),
    ],
)
def test_a_task_expects_what_it_throws(throws: Any, kind: Any, expected: bool):
    assert expected_by(SimpleNamespace(throws=throws), kind) is expected


def test_an_exception_is_told_with_its_traceback():
    info = info_of(KeyError("x"))
    told = failure_of_info(plain(info), info)
    assert told[:3] == ("KeyError", "builtins.KeyError", "'x'")
    assert told.traceback.startswith("Traceback (most recent call last)")
    assert told.traceback.rstrip().endswith("KeyError: 'x'")


def test_a_retry_tells_its_cause():
    info = info_of(Retry("again", OSError("gone")))
    assert failure_of_info(plain(info), info)[:3] == ("OSError", "builtins.OSError", "gone")
