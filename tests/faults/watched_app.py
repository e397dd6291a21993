"""The app of the fault tests: tasks that do little or end badly, watched by one side."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery
from opentelemetry import trace
from watching import watch

app = Celery("watched", broker=os.environ["CASES_BROKER"], backend=os.environ["CASES_BACKEND"])
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True)
app.conf.worker_proc_alive_timeout = 60  # to import what watches, on a busy machine
watch(app)

tracer = trace.get_tracer("watched")


@app.task(name="quick")  # type: ignore[untyped-decorator]
def quick(*_: Any, **__: Any) -> None:
    """Do nothing."""


@app.task(name="echo")  # type: ignore[untyped-decorator]
def echo(said: str) -> str:
    """Return what it was given."""
    return said


@app.task(name="inner")  # type: ignore[untyped-decorator]
def inner() -> None:
    """Make a span of its own."""
    with tracer.start_as_current_span("inner"):
        pass


@app.task(name="sleeps")  # type: ignore[untyped-decorator]
def sleeps(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="fails")  # type: ignore[untyped-decorator]
def fails(text: str = "no") -> None:
    raise ValueError(text)


@app.task(name="dies")  # type: ignore[untyped-decorator]
def dies() -> None:
    """End a child span, then the process."""
    with tracer.start_as_current_span("inner"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
