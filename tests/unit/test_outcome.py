"""What became of a delivery?"""

from __future__ import annotations

import pytest

from otel_celery.conventions import STATES
from otel_celery.outcome import HowEnded, Verdict, judge


@pytest.mark.parametrize(
    ("how", "told", "verdict"),
    [
        pytest.param(HowEnded.RETURNED_VALUE, {}, Verdict("success"), id="success"),
        pytest.param(
            HowEnded.RAISED,
            {"error": "KeyError"},
            Verdict("failure", "KeyError", error=True),
            id="failure",
        ),
        pytest.param(
            HowEnded.RAISED,
            {"error": "KeyError", "expected": True},
            Verdict("failure", "KeyError", expected=True),
            id="failure-that-the-task-lists",
        ),
        pytest.param(
            HowEnded.RAISED,
            {"error": "SoftTimeLimitExceeded"},
            Verdict("failure", "SoftTimeLimitExceeded", error=True),
            id="soft-limit-is-a-failure",
        ),
        pytest.param(
            HowEnded.RAISED, {}, Verdict("failure", "_OTHER", error=True), id="nameless-failure"
        ),
        pytest.param(HowEnded.RETRY, {"error": "OSError"}, Verdict("retry", "OSError"), id="retry"),
        pytest.param(HowEnded.RETRY, {}, Verdict("retry"), id="retry-without-cause"),
        pytest.param(HowEnded.IGNORE, {"error": "Ignore"}, Verdict("ignored"), id="ignored"),
        pytest.param(HowEnded.REJECT, {"error": "Reject"}, Verdict("rejected"), id="rejected"),
        pytest.param(HowEnded.REQUEUE, {}, Verdict("requeued"), id="requeued-by-choice"),
        pytest.param(
            HowEnded.REQUEUE,
            {"error": "WorkerLostError"},
            Verdict("requeued", "WorkerLostError"),
            id="requeued-lost-child",
        ),
        pytest.param(
            HowEnded.TIMEOUT,
            {"error": "x", "expected": True},
            Verdict("timeout", "TimeLimitExceeded", error=True),
            id="hard-limit-is-never-expected",
        ),
        pytest.param(
            HowEnded.LOST,
            {"error": "SystemExit"},
            Verdict("lost", "WorkerLostError", error=True),
            id="lost-is-always-WorkerLostError",
        ),
        pytest.param(
            HowEnded.TERMINATED, {}, Verdict("revoked", "Terminated"), id="revoked-while-running"
        ),
        pytest.param(
            HowEnded.TERMINATED, {"begun": False}, Verdict("revoked"), id="terminated-before-start"
        ),
        pytest.param(HowEnded.REVOKED, {"begun": False}, Verdict("revoked"), id="revoked"),
        pytest.param(HowEnded.EXPIRED, {"begun": False}, Verdict("expired"), id="expired"),
        pytest.param(HowEnded.CANCELLED, {}, Verdict("retry"), id="celery-stores-it-as-a-retry"),
        pytest.param(
            HowEnded.UNKNOWN,
            {"begun": False},
            Verdict("unknown", "NotRegistered", error=True),
            id="unknown",
        ),
        pytest.param(
            HowEnded.INVALID,
            {"error": "DecodeError", "begun": False},
            Verdict("invalid", "DecodeError", error=True),
            id="undecodable",
        ),
        pytest.param(
            HowEnded.INVALID,
            {"begun": False},
            Verdict("invalid", "InvalidTaskError", error=True),
            id="invalid-without-a-word",
        ),
        pytest.param(HowEnded.RETURNED, {"begun": False}, Verdict("returned"), id="returned"),
        pytest.param(HowEnded.DELEGATED, {"begun": False}, Verdict("delegated"), id="delegated"),
    ],
)
def test_each_end_has_one_verdict(how, told, verdict):
    """State, class, status and whether it was expected."""
    assert judge(how, **told) == verdict


def test_every_state_has_an_end_and_every_end_a_state():
    """Nothing that main can be told is without a word, and no word is never said."""
    assert {judge(how).state for how in HowEnded} == set(STATES)


@pytest.mark.parametrize("how", HowEnded, ids=lambda how: how.name.lower())
def test_only_a_failure_can_be_expected_and_an_error_has_a_class(how):
    """Alerts that leave out the expected leave out nothing else."""
    verdict = judge(how, error="KeyError", expected=True)
    assert verdict.expected == (how is HowEnded.RAISED)
    assert not verdict.error or verdict.error_type
