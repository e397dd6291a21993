"""What telemetry must say of each case, for each pool."""

from __future__ import annotations

from typing import NamedTuple

PREFORK = ("prefork", "prefork-recycling", "spawn")
IN_PROCESS = ("solo", "threads", "gevent")
ALL = PREFORK + IN_PROCESS


class Word(NamedTuple):
    """What is said of one delivery."""

    state: str
    error_type: str | None = None
    error: bool = False
    expected: bool = False


SUCCESS = Word("success")
CASES: dict[str, tuple[tuple[Word, ...], tuple[str, ...]]] = {
    # case: (deliveries of the messages that the driver sent, in order; pools)
    "success": ((SUCCESS,), ALL),
    "failure": ((Word("failure", "ValueError", True),), ALL),
    "expected_failure": ((Word("failure", "KeyError", expected=True),), ALL),
    "retry": ((Word("retry", "OSError"), SUCCESS), ALL),
    "ignore": ((Word("ignored"),), ALL),
    "reject": ((Word("rejected"),), ALL),
    "requeue": ((Word("requeued"), SUCCESS), ALL),
    "soft_limit": ((Word("failure", "SoftTimeLimitExceeded", True),), PREFORK),
    "hard_limit": ((Word("timeout", "TimeLimitExceeded", True),), PREFORK),
    "killed": ((Word("lost", "WorkerLostError", True),), PREFORK),
    "sys_exit": ((Word("lost", "WorkerLostError", True),), (*PREFORK, "threads", "gevent")),
    "lost_and_requeued": ((Word("requeued", "WorkerLostError"), SUCCESS), PREFORK),
    "revoked": ((Word("revoked"),), ALL),
    "revoked_waiting": ((Word("revoked"),), ALL),
    "terminated": ((Word("revoked", "Terminated"),), PREFORK),
    "expired": ((Word("expired"),), ALL),
    "unknown": ((Word("unknown", "NotRegistered", True),), ALL),
    "undecodable": ((Word("invalid", "DecodeError", True),), ALL),
    "garbage_eta": ((Word("invalid", "InvalidTaskError", True),), ALL),
    "overflowing_eta": ((Word("invalid", "InvalidTaskError", True),), ALL),
    "rate_limited": ((SUCCESS,) * 3, ALL),
    "batched": ((Word("delegated"),) * 2, ALL),
    "topic_retry": ((Word("retry"), Word("retry"), SUCCESS), ALL),
    "eta": ((SUCCESS,), ALL),
    "nested": ((SUCCESS,), ALL),
    "chain": ((SUCCESS,), ALL),
    "group": ((SUCCESS,) * 2, ALL),
    "chord": ((SUCCESS,), ALL),
    "eager_inside": ((SUCCESS,), ALL),
    "odd_text": ((Word("failure", "ValueError", True),), ALL),
    "unsampled": ((SUCCESS,), ALL),
    "survivor": ((SUCCESS,), PREFORK),
    "pool_restart": ((SUCCESS,), ("prefork",)),
}
FURTHER = {"nested": 1, "chain": 1, "chord": 2}
"""Deliveries that tasks of a case cause, besides those of the driver's own messages."""
LATE = ("eta", "survivor", "pool_restart")
"""Sent when all others have ended: the pool is free for a task that has become due; a
process that survived a signal is marked by billiard, which then takes any later death of it for
that signal; a restart ends what the pool holds."""


def pools_of(case: str) -> tuple[str, ...]:
    """Return the pools that are tried with a case."""
    return CASES[case][1]
