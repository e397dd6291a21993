"""The short run that every pair of Python and Celery must pass: prefork, the main ways to end."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.receiver import receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.expected import CASES
from tests.worker.harness import PRODUCER
from tests.worker.test_matrix import all_ended, messages, words

CHOSEN = (
    "success", "failure", "expected_failure", "retry", "ignore", "reject", "requeue", "soft_limit",
    "hard_limit", "killed", "lost_and_requeued", "revoked_waiting", "terminated", "expired",
    "unknown", "undecodable", "garbage_eta", "batched", "chain", "chord", "eager_inside",
)  # fmt: skip


@pytest.mark.matrix
def test_the_main_ways_to_end_are_told_alike_on_every_version(tmp_path: Path) -> None:
    """One process span per delivery with the right words, exact counters, a clean stop."""
    with harness.broker(tmp_path) as url, receiving() as receiver:
        # From Python 3.12 on, a fork of a process with threads warns.
        strict = {"PYTHONWARNINGS": "error:This process:DeprecationWarning"}
        environ = harness.environment(url, receiver, **strict)
        with harness.worker(tmp_path, environ, "-P", "prefork", "-c", "3") as worker:
            sent = json.loads(harness.run(environ, "drive.py", *CHOSEN))
            eventually(partial(all_ended, sent, receiver))
            assert worker.stop() == 0
        seen = harness.spans(receiver)
        found = harness.deliveries(seen)
        told = {
            case: tuple(words(one) for task_id in ids for one in found[task_id])
            for case, ids in sent.items()
        }
        assert told == {case: CASES[case][0] for case in CHOSEN}
        assert harness.total(receiver, "messaging.client.consumed.messages") == messages(CHOSEN)
        published = {one.id for one in seen if one.span.kind == PRODUCER}
        (span,) = found[sent["success"][0]]
        assert span.parent in published
        assert span.attributes["cart.items"] == 3
        assert [one.span.name for one in seen if one.parent == span.id] == ["inner"]
        assert harness.points(receiver, "otel_celery.faults") == []
