"""What is told of tasks whose process ends under them?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import OURS, Side
from tests.receiver import Receiver
from tests.worker import harness

TASKS = 200
WORKER = ("-P", "prefork", "-c", "8")


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("recycled-at-every-task")
def test_recycling_loses_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    environ = sides.environment(side, redis_url, receiver)
    sides.send(environ, "inner", TASKS)
    with sides.worker(tmp_path, environ, *WORKER, "--max-tasks-per-child", "1") as worker:
        sides.drained(redis_url)
        worker.stop()
    seen = harness.spans(receiver)
    process = harness.deliveries(seen)
    inner = [one for one in seen if one.span.name == "inner"]
    measured("process spans that arrived", side, f"{len(process)} of {TASKS}")
    measured("child spans that arrived", side, f"{len(inner)} of {TASKS}")
    if side == OURS:
        outcomes = harness.points(receiver, "celery.task.outcomes")
        counted = sum(point.value for point in outcomes)
        measured("outcomes counted", side, f"{counted:g} of {TASKS}")
        measured("series of outcomes", side, len([one for one in outcomes if one.value]))
        assert sum(map(len, process.values())) == len(process) == len(inner) == counted == TASKS
