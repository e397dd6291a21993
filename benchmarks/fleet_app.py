"""Which tasks has a worker of a fleet, and who sends them?

As a program it sends each of them in each way that it can end, and then more at a pace; it prints
at which Unix time that began, how many it sent, and how many of them will be sent once more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals

import otel_celery
from benchmarks.series import Worker

ENDS = 20  # one task in so many fails, and one is retried
SHAPE = Worker(*json.loads(os.environ["BENCH_WORKER"]))

app = Celery("fleet", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    task_queues={f"queue_{number}": {} for number in range(SHAPE.queues)},
    task_default_queue="queue_0",
    task_routes={
        f"fleet.task_{number}": {"queue": f"queue_{number % SHAPE.queues}"}
        for number in range(SHAPE.tasks)
    },
)
otel_celery.instrument(app)

# Classes that a pool process can hand on by name.
ERRORS = (ValueError, TypeError, KeyError, IndexError)[: SHAPE.errors]
REASONS = (ConnectionError, TimeoutError, BlockingIOError)[: SHAPE.retries]


def work(self: Any, error: int | None = None, reason: int | None = None) -> None:
    """Fail with an error, or be retried for a reason, or do nothing."""
    if error is not None:
        raise ERRORS[error]("an order that cannot be paid")
    if reason is not None and not self.request.retries:
        raise self.retry(countdown=0, exc=REASONS[reason]())


TASKS = [app.task(name=f"fleet.task_{number}", bind=True)(work) for number in range(SHAPE.tasks)]


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _ready(**_: Any) -> None:
    Path(os.environ["BENCH_READY"]).touch()


def send_each() -> int:
    """Send each task in each way that it can end; return how many will be retried."""
    for task in TASKS:
        task.delay()
        for number in range(len(ERRORS)):
            task.delay(error=number)
        for number in range(len(REASONS)):
            task.delay(reason=number)
    return len(TASKS) * len(REASONS)


def send_paced(rate: float, seconds: float) -> int:
    """Send so many tasks a second for so long; return how many will be retried."""
    began, retried = time.monotonic(), 0
    for number in range(round(rate * seconds)):
        time.sleep(max(began + number / rate - time.monotonic(), 0))
        how: dict[str, int] = {}
        if number % ENDS == ENDS // 2 and ERRORS:
            how["error"] = 0
        elif number % ENDS == ENDS - 1 and REASONS:
            how["reason"] = 0
            retried += 1
        TASKS[number % len(TASKS)].delay(**how)
    return retried


if __name__ == "__main__":
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    retried = send_each()
    if seconds:
        time.sleep(2)  # for what is told of them
    began = time.time()
    retried += send_paced(rate, seconds)
    sent = len(TASKS) * (1 + len(ERRORS) + len(REASONS)) + round(rate * seconds)
    print(json.dumps((began, sent, retried)))
