"""How did a delivery end, by the exception that the pool reports?"""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry

from otel_celery.facts import Delivery, Failure
from otel_celery.outcome import HowEnded
from otel_celery.seams import cold_stop
from otel_celery.voice import failure_of

_LOST = (SystemExit, KeyboardInterrupt, WorkerLostError)


def plain(info: Any) -> BaseException:
    """Return the exception of a billiard `ExceptionInfo` without its wrapping."""
    exc = info.exception
    found: BaseException = exc.exc if isinstance(exc, ExceptionWithTraceback) else exc
    return found


def expected_by(task: Any, kind: Any) -> bool:
    """Does the task list this class of exception in `throws`?"""
    throws = task.throws or ()
    return isinstance(kind, type) and issubclass(
        kind, tuple(throws) if isinstance(throws, (list, tuple)) else (throws,)
    )


def classify(
    info: Any, exc: BaseException, delivery: Delivery, *, late: bool
) -> tuple[HowEnded, str | None]:
    """Return how it ended, and the name of the class that tells why.

    Asked after Celery has dealt with it: what Celery decided wins over the cause.

    Args:
        info: the pool's `ExceptionInfo`; its type has the name of a class that cannot be pickled.
        exc: its exception.
        delivery: with what Celery's own calls have noted on it.
        late: the task acknowledges late, so that a cancelled message goes back.
    """
    if isinstance(exc, Retry):
        return HowEnded.RETRY, type(exc.exc).__name__ if exc.exc is not None else None
    if isinstance(exc, Reject):
        return (HowEnded.REQUEUE if exc.requeue else HowEnded.REJECT), None
    if isinstance(exc, Ignore):
        return HowEnded.IGNORE, None
    if isinstance(exc, TimeLimitExceeded):
        return HowEnded.TIMEOUT, TimeLimitExceeded.__name__
    if isinstance(exc, (*_LOST, Terminated)):
        return _gone(exc, delivery, late)
    return HowEnded.RAISED, getattr(info.type, "__name__", type(exc).__name__)


def _gone(exc: BaseException, delivery: Delivery, late: bool) -> tuple[HowEnded, str | None]:
    """Return how a delivery ended whose pool process is no more."""
    if delivery.reason == "terminated":
        return HowEnded.TERMINATED, None
    if delivery.reason in ("cancelled", "requeued") or cold_stop():
        # Before Celery 5.5 a cold stop comes as a lost worker.
        return (HowEnded.REQUEUE if late else HowEnded.CANCELLED), None
    if isinstance(exc, Terminated):
        return HowEnded.TERMINATED, None
    lost = WorkerLostError.__name__
    if delivery.reason == "stored":
        return HowEnded.RETURNED_VALUE, None
    if delivery.reason == "retried":
        return HowEnded.RETRY, lost
    return (HowEnded.REQUEUE if delivery.requeue else HowEnded.LOST), lost


def failure_of_info(exc: BaseException, info: Any) -> Failure:
    """Return an exception as text; an unpicklable one came under the name of its class.

    Of a retry it is the cause that is told.
    """
    traceback = str(info.traceback or "")
    if isinstance(exc, Retry) and isinstance(exc.exc, BaseException):
        return failure_of(exc.exc, traceback)
    made = failure_of(exc, traceback)
    kind = info.type
    if isinstance(kind, type):
        made = made._replace(type=kind.__name__, qualified=f"{kind.__module__}.{kind.__qualname__}")
    return made
