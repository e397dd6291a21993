"""What does a Collector cost that takes its time?"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from tests.faults import accounts, sides
from tests.faults.copies import Copies
from tests.faults.results import Measured
from tests.faults.sides import OURS, SIDES, WATCHING, Side
from tests.receiver import Answer, Receiver
from tests.waiting import eventually
from tests.worker import harness

TASKS, TURNS = 1_000, 3
THINKS = 5.0  # seconds
QUEUE_MIB = 64
"""What `docs/limits.md` says of spans that wait."""
OF_TASK = re.compile(r"^\[([\d-]+ [\d:]+),(\d+): .* Task quick\[\S+ (?:received|succeeded)", re.M)


def slow(path: str) -> Answer:
    """Take everything, and be long about it."""
    return Receiver.well(path)._replace(after=THINKS)


def instants(log: str) -> list[float]:
    """Return when tasks were received and ended, in Unix seconds, as the worker's log has it."""
    return [
        datetime.fromisoformat(second).timestamp() + int(milli) / 1000
        for second, milli in OF_TASK.findall(log)
    ]


def pace(worker: harness.Worker, copies: Copies) -> float:
    """Return how many tasks a second a worker does, by its own log."""
    before = len(instants(worker.log))
    copies.put(TASKS)
    eventually(lambda: len(instants(worker.log)) == before + 2 * TASKS, 240)
    passed = instants(worker.log)[before:]
    return TASKS / (max(passed) - min(passed))


@pytest.mark.long
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.fault("collector-slow")
def test_a_slow_collector_slows_no_task(
    tmp_path: Path, redis_url: str, receiver: Receiver, measured: Measured, side: Side
) -> None:
    """One worker, quick and slow in turns: its best turn with each is the least disturbed."""
    quickly, slowly = [], []
    environ = sides.environment(side, redis_url, receiver, OTEL_CELERY_FLUSH_TIMEOUT="120")
    copies = Copies(redis_url, "quick")
    with sides.worker(tmp_path, environ, *sides.QUIET) as worker:
        main = psutil.Process(worker.process.pid)
        pace(worker, copies)  # warm
        memory = main.memory_info().rss
        for _ in range(TURNS):
            receiver.usual = receiver.well
            time.sleep(THINKS)  # whatever still waits for an answer has it
            quickly.append(pace(worker, copies))
            receiver.usual = slow
            slowly.append(pace(worker, copies))
        grown = (main.memory_info().rss - memory) / 2**20
        receiver.usual = receiver.well
        assert worker.stop(timeout=180) == 0
    measured("pace with the slow one, of that with the quick one", side,
             f"{max(slowly) / max(quickly):.0%}")  # fmt: skip
    measured("memory of main, more at the end", side, f"{grown:.1f} MiB")
    made = (2 * TURNS + 1) * TASKS
    arrived = accounts.spans(receiver)
    if side in WATCHING:
        measured("process spans that arrived", side, arrived.of(made))
    if side == OURS:
        assert arrived == (made, 0)
        assert max(slowly) > max(quickly) / 2  # the ratio is for the page, this for a broken wait
        assert grown < 2 * QUEUE_MIB
