"""What is told of deliveries that do not run, or do not end by themselves?"""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from tests.faults import sides
from tests.faults.results import Measured
from tests.faults.sides import CONTRIB, OURS, Side
from tests.faults.truth import HELD, exact, outcomes, told
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness

TWO = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
AGE = "celery.task.oldest_active.age"


@pytest.mark.long
@pytest.mark.parametrize("side", sides.WATCHING)
@pytest.mark.fault("never-ran")
def test_each_delivery_is_counted_once_and_gauges_return_to_zero(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """Revoked before, while waiting and while running; expired; ignored, rejected, requeued."""
    environ = sides.environment(side, redis_url, receiver)
    client = Celery(broker=redis_url, set_as_current=False)
    before = [f"before-{number}" for number in range(3)]
    with sides.worker(tmp_path, environ, *TWO, app="ends_app") as worker, client:
        client.control.revoke(before, reply=True, timeout=60, limit=1)
        ids = sides.send_all(
            environ,
            *[("run", 1, (), {"task_id": id_}) for id_ in before],
            ("run", 3, (), {"expires": -5}),
            ("late", 3, ("ignored",), {}),
            ("late", 3, ("rejects",), {}),
            ("late", 3, ("requeues",), {}),
            ("run", 3, ("retries",), {}),
            ("run", 3, (), {}),
        )
        eventually(lambda: len(told(redis_url, receiver).began) >= 3 + 3 + 6 + 6 + 3)
        running = sides.send(environ, "run", 2, "sleeps", 600)
        eventually(
            lambda: set(running) <= {run.split()[0] for run in told(redis_url, receiver).began}
        )
        waiting = sides.send(environ, "run", 3, countdown=20)  # looked at again when it is due
        if side == OURS:
            eventually(lambda: harness.total(receiver, HELD) == 5)
            assert harness.points(receiver, AGE)
        client.control.revoke(waiting)
        client.control.revoke(running, terminate=True)
        if side == OURS:
            eventually(lambda: harness.total(receiver, HELD) == 0)
        if side == CONTRIB:
            eventually(lambda: worker.log.count("Discarding revoked task") == 6)
            sides.quiet(receiver)
        worker.stop()
    found = told(redis_url, receiver)
    everything = [*ids, *waiting, *running]
    spans = sum(len(found.process.get(id_, ())) for id_ in everything)
    measured("runs with their process span", side, f"{found.run_spans} of {len(found.began)}")
    measured("deliveries with a span", side, f"{spans} of 32")
    if side == OURS:
        wanted = {
            "revoked": 3 + 3 + 2, "expired": 3, "ignored": 3, "rejected": 3,
            "requeued": 3, "retry": 3, "success": 3 + 3 + 3,
        }  # fmt: skip
        exact(found, receiver)
        assert found.states(everything) == outcomes(receiver) == wanted
        assert spans == 32
        measured("outcomes counted", side, f"{outcomes(receiver).total()} of 32")
