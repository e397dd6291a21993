"""What is told of a task that runs twice at the same time?"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS, Side
from tests.faults.truth import CONSUMED, Told, exact, outcomes, told
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

QUIET = ("--without-mingle", "--without-gossip")


@pytest.mark.parametrize(
    ("side", "workers"),
    [
        pytest.param(OURS, 1, id="ours-in-one-worker"),
        pytest.param(OURS, 2, id="ours-in-two-workers", marks=pytest.mark.long),
        pytest.param(CONTRIB, 1, id="contrib-in-one-worker", marks=pytest.mark.long),
        pytest.param(CONTRIB, 2, id="contrib-in-two-workers", marks=pytest.mark.long),
    ],
)
@pytest.mark.fault("same-task-twice")
def test_both_runs_are_told_apart(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side,
    workers: int,
) -> None:  # fmt: skip
    """A message that is not acknowledged within the visibility timeout is delivered again."""
    environ = sides.environment(side, redis_url, receiver)
    (id_,) = sides.send(environ, "late", 1, "until twice")
    with contextlib.ExitStack() as stack:
        running = []
        for number in range(workers):
            folder = tmp_path / str(number)
            folder.mkdir()
            # Of two, the second takes what it gives back to the queue: the first has its fill.
            short = environ | {"VISIBILITY": "2" if number == workers - 1 else "3600"}
            pool = ("-c", str(3 - workers), "--prefetch-multiplier", "1")
            one = sides.worker(folder, short, *QUIET, *pool, app="ends_app")
            running.append(stack.enter_context(one))
            eventually(lambda: told(redis_url, receiver).began)
        eventually(lambda: len(told(redis_url, receiver).ended) >= 2)
        if side == CONTRIB:
            sides.quiet(receiver)
        for worker in running:
            worker.stop()
    found = told(redis_url, receiver)
    runs = len(found.began)  # a machine that stands still for the timeout makes one more
    assert len(found.ended) == runs
    spans = found.process.get(id_, ())
    where = "one worker" if workers == 1 else "two workers"
    measured(f"{where}: process spans", side, f"{len(spans)} of {runs}")
    measured(f"{where}: child spans under the right one", side, f"{right(found)} of {2 * runs}")
    if side == OURS:
        exact(found, receiver)
        redelivered = [one.attributes.get("celery.task.redelivered", False) for one in spans]
        assert redelivered == [False] + [True] * (runs - 1)
        first, second = spans[:2]
        assert first.attributes["process.pid"] != second.attributes["process.pid"]
        assert second.span.start_time_unix_nano < first.span.end_time_unix_nano
        assert {one.attributes["run"] for one in spans} == set(found.began)
        assert found.states([id_]) == outcomes(receiver) == {"success": runs}
        again = harness.total(receiver, CONSUMED, celery__task__redelivered=True)
        assert again == runs - 1
        assert right(found) == 2 * runs
        measured(f"{where}: outcomes counted", side, f"{runs} of {runs}")


def right(found: Told) -> int:
    """Return how many child spans hang under the process span of their own run."""
    by_id = {one.id: one for one in found.spans}
    return sum(
        one.parent in by_id and by_id[one.parent].attributes.get("run") == one.attributes["run"]
        for one in found.spans
        if one.span.name in ("inner", "outer")
    )
