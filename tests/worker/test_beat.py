"""Beat speaks for itself: on its own, as a process of a worker, as a thread of one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.receiver import receiving
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.harness import PRODUCER


@pytest.mark.parametrize(
    ("arguments", "instance"),
    [
        pytest.param(["beat"], None, id="alone"),
        pytest.param(["worker", "-B", "-c", "1", "-n", "b@test"], "b@test/beat", id="embedded"),
        pytest.param(
            ["worker", "-B", "-P", "solo", "-n", "b@test"], "b@test/beat", id="embedded-solo"
        ),
        pytest.param(
            ["worker", "-B", "-P", "threads", "-n", "b@test"], "b@test/beat", id="embedded-threads"
        ),
    ],
)
def test_beat_tells_due_entries_and_that_it_turns(
    tmp_path: Path, arguments: list[str], instance: str | None
) -> None:
    """A span for each entry with its publish below, lateness, and a heartbeat of its own name."""
    schedule = str(tmp_path / "schedule")
    with harness.broker(tmp_path) as url, receiving() as receiver:
        command = [sys.executable, "-m", "celery", "-A", "beat_app", *arguments, "-s", schedule]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=harness.HERE,
                env=harness.environment(url, receiver),
                stdout=log,
                stderr=log,
            )
        try:
            turned = "celery.beat.heartbeat.timestamp"

            def told() -> None:
                assert harness.total(receiver, "celery.beat.lateness.duration") >= 2
                (point,) = harness.points(receiver, turned)
                assert time.time() - point.value < 10

            eventually(told)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        seen = harness.spans(receiver)
        due = [one for one in seen if one.span.name == "beat stock"]
        sent = [one for one in seen if one.span.kind == PRODUCER]
        assert {one.id for one in due} == {one.parent for one in sent}
        assert {(one.parent, one.attributes["celery.beat.entry.name"]) for one in due} == {
            ("", "stock")
        }
        assert all(0 <= one.attributes["celery.beat.lateness"] < 5 for one in due)
        (point,) = harness.points(receiver, turned)
        assert instance in (None, point.instance)
        assert harness.points(receiver, "otel_celery.faults") == []
        counted = harness.total(receiver, "messaging.client.sent.messages")
        assert counted == len(sent), "the last entries before the stop are counted, too"
