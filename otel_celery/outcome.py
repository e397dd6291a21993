"""What became of a delivery: its state, its error, and is that a failure?

No class of Celery is known here: who hears of the end says which of these words fits.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from otel_celery import conventions as c


class HowEnded(Enum):
    """How a delivery ended, as main was told."""

    RETURNED_VALUE = auto()
    RAISED = auto()
    RETRY = auto()
    IGNORE = auto()
    REJECT = auto()
    REQUEUE = auto()
    """The message went back to the queue, whatever made it go."""
    TIMEOUT = auto()
    """The hard time limit; a soft one is RAISED."""
    LOST = auto()
    TERMINATED = auto()
    """Revoked while running, and the pool process is gone."""
    CANCELLED = auto()
    """Cancelled by Celery, which stores it as a retry, with a message that is already settled."""
    REVOKED = auto()
    EXPIRED = auto()
    UNKNOWN = auto()
    INVALID = auto()
    RETURNED = auto()
    DELEGATED = auto()


class Verdict(NamedTuple):
    """What span and metrics say of an ended delivery."""

    state: str
    error_type: str | None = None
    error: bool = False  # the span's status
    expected: bool = False  # an exception that the task itself lists in `throws`


_STATES = {
    HowEnded.RETURNED_VALUE: c.SUCCESS,
    HowEnded.RAISED: c.FAILURE,
    HowEnded.RETRY: c.RETRY,
    HowEnded.IGNORE: c.IGNORED,
    HowEnded.REJECT: c.REJECTED,
    HowEnded.REQUEUE: c.REQUEUED,
    HowEnded.TIMEOUT: c.TIMEOUT,
    HowEnded.LOST: c.LOST,
    HowEnded.TERMINATED: c.REVOKED,
    HowEnded.CANCELLED: c.RETRY,
    HowEnded.REVOKED: c.REVOKED,
    HowEnded.EXPIRED: c.EXPIRED,
    HowEnded.UNKNOWN: c.UNKNOWN,
    HowEnded.INVALID: c.INVALID,
    HowEnded.RETURNED: c.RETURNED,
    HowEnded.DELEGATED: c.DELEGATED,
}

_FIXED = {  # always this class, whatever else was told
    HowEnded.TIMEOUT: "TimeLimitExceeded",
    HowEnded.LOST: "WorkerLostError",
    HowEnded.UNKNOWN: "NotRegistered",
}
_FALLBACK = {HowEnded.RAISED: c.OTHER, HowEnded.INVALID: "InvalidTaskError"}
_CAUSED = frozenset({HowEnded.RETRY, HowEnded.REQUEUE})  # their cause, if there was one
_ERRORS = frozenset({*_FIXED, *_FALLBACK})
_REVOKED = frozenset({HowEnded.TERMINATED, HowEnded.REVOKED})

RETURNED_VALUE = HowEnded.RETURNED_VALUE
SUCCESS = Verdict(c.SUCCESS)
"""What `judge` says of nearly all deliveries, for whoever cannot wait."""


def judge(
    how: HowEnded, *, error: str | None = None, expected: bool = False, begun: bool = True
) -> Verdict:
    """Return what span and metrics say of a delivery that ended so.

    Args:
        how: what main was told.
        error: `__name__` of the exception's class; on a retry, or where the message went back,
            of what caused that.
        expected: the exception is one of those that the task lists in `throws`.
        begun: a pool process had taken it.
    """
    state = _STATES[how]
    if how in _ERRORS:
        listed = expected and how is HowEnded.RAISED
        kind = _FIXED.get(how) or error or _FALLBACK[how]
        return Verdict(state, kind, not listed, listed)
    if how in _CAUSED:
        return Verdict(state, error or None)
    if how in _REVOKED and begun:
        return Verdict(state, "Terminated")
    return Verdict(state)
