"""Which tasks do real workers run, watched by the side that BENCH_SIDE names?

As a program it publishes them, and prints what CPU time the process had used when it began.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals

from benchmarks.sides import SIDES

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
app.conf.worker_proc_alive_timeout = 60  # to import what watches, on a busy machine
SIDES[os.environ["BENCH_SIDE"]](app)


def noop(*_: Any) -> None:
    """Do nothing."""


def spans(number: int) -> None:
    """Make spans of the user's own."""
    from opentelemetry import trace

    tracer = trace.get_tracer("bench")
    for _ in range(number):
        with tracer.start_as_current_span("inner"):
            pass


NAMES = [f"bench.noop_{number}" for number in range(int(os.environ.get("BENCH_NAMES", "1")))]
for _name in NAMES:
    app.task(name=_name)(noop)
app.task(name="bench.spans")(spans)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _ready(**_: Any) -> None:
    Path(os.environ["BENCH_READY"]).touch()


def publish(tasks: int, inner: int) -> None:
    """Publish so many tasks, spread over all names; with spans of their own if inner > 0."""
    app.send_task(NAMES[0])  # whoever connects and starts at the first publish has done so
    time.sleep(0.5)
    began, clock = time.process_time(), time.monotonic()
    for number in range(tasks):
        if inner:
            app.tasks["bench.spans"].delay(inner)
        else:
            app.tasks[NAMES[number % len(NAMES)]].delay()
    json.dump({"before": began, "seconds": time.monotonic() - clock}, sys.stdout)


if __name__ == "__main__":
    publish(int(sys.argv[1]), int(sys.argv[2]))
