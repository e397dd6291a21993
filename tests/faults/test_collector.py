"""What is lost while the Collector is not there?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults import accounts, sides
from tests.faults.results import Measured
from tests.faults.sides import ALONE, OURS, WATCHING, Side
from tests.receiver import Receiver, receiving
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "2")
TASKS = 100
OUTCOMES = "celery.task.outcomes"


@pytest.mark.long
@pytest.mark.parametrize("side", WATCHING)
@pytest.mark.fault("collector-dies-and-returns")
def test_a_collector_that_dies_and_returns_costs_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environ = sides.environment(side, redis_url, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    silent = sides.environment(ALONE, redis_url, receiver)

    def run(worker: harness.Worker, upto: int) -> None:
        sides.send(silent, "quick", TASKS)
        eventually(lambda: worker.log.count("succeeded in") == upto)

    with sides.worker(tmp_path, environ, *WORKER) as worker:
        with receiving(port) as before:
            run(worker, TASKS)
            eventually(lambda: accounts.spans(before).arrived)
        run(worker, 2 * TASKS)
        time.sleep(15.0)
        with receiving(port) as after:
            run(worker, 3 * TASKS)
            if side == OURS:
                eventually(lambda: accounts.spans(before, after).arrived == 3 * TASKS)
            else:
                time.sleep(12.0)
            assert worker.stop() == 0
            processes = accounts.spans(before, after)
            measured("process spans that arrived", side, processes.of(3 * TASKS))
            if side == OURS:
                counted = harness.total(after, OUTCOMES, celery__task__state="success")
                measured("outcomes counted", side, f"{counted:g} of {3 * TASKS}")
                measured("spans counted as dropped", side, accounts.dropped(after))
                assert counted == 3 * TASKS
                assert accounts.dropped(after) == 0
