"""What is left of a worker that was killed as a whole?"""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import OURS, SIDES, Side
from tests.faults.truth import CONSUMED, HELD, outcomes, told
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

TWO = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")


@pytest.mark.long
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.fault("worker-killed")
def test_the_next_worker_of_its_name_says_what_is_so(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """Its gauges go back to zero, and no process of the old one stays."""
    environ = sides.environment(side, redis_url, receiver)
    ids = sides.send_all(environ, ("run", 10, (), {}), ("late", 2, ("once long",), {}))
    with sides.worker(tmp_path, environ, *TWO, app="ends_app") as killed:
        eventually(lambda: len(told(redis_url, receiver).began) == 12)
        pool = psutil.Process(killed.process.pid).children(recursive=True)
        if side == OURS:
            eventually(lambda: active(receiver) == 2)
            eventually(lambda: len(told(redis_url, receiver).process) == 10)
            eventually(lambda: told(redis_url, receiver).inner_spans == 12)
        killed.stop(signal.SIGKILL)
        psutil.wait_procs(pool, 30)
        measured("pool processes that stay", side, sum(one.is_running() for one in pool))
    before = told(redis_url, receiver)
    if side == OURS:
        spans = sum(map(len, before.process.values()))
        measured("process spans of 10 tasks that had ended", side, spans)
        measured("child spans of 12 tasks that had begun", side, before.inner_spans)
    receiver.received.clear()
    environ["VISIBILITY"] = "3"  # for the killed one it was too long to give anything twice
    with sides.worker(tmp_path, environ, *TWO, app="ends_app") as worker:
        eventually(lambda: len(told(redis_url, receiver).began) >= 14)
        assert worker.stop() == 0
    if side == OURS:
        held = harness.points(receiver, HELD)
        assert {(point.instance, point.value) for point in held} == {(harness.NODE, 0)}
        consumed = harness.total(receiver, CONSUMED, celery__task__redelivered=True)
        assert consumed == harness.total(receiver, CONSUMED) == outcomes(receiver).total()
        states = told(redis_url, receiver).states(ids)
        assert states == outcomes(receiver) == {"success": consumed}
        measured("deliveries that were given again, and told", side, f"{consumed:g} of 2")
        measured("active tasks, by the gauge of the next worker", side, f"{active(receiver):g}")
        assert spans == 10
        assert before.inner_spans == 12
        assert not any(one.is_running() for one in pool)


def active(receiver: Receiver) -> float:
    return harness.total(receiver, HELD, celery__worker__task__state="active")
