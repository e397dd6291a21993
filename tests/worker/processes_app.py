"""The cases app with tasks that start processes, and handlers as users write them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import billiard
from celery import signals
from shop_of_cases import app, success, tracer


@app.task(name="processes.forks")
def forks() -> int:
    """Fork by hand, by billiard and into a program, within a span; return the forked child."""
    with tracer.start_as_current_span("inner"):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        publisher = billiard.Process(target=success.delay)
        publisher.start()
        publisher.join()
        subprocess.run([sys.executable, "-c", ""], check=True)
    return child


@app.task(name="processes.initialised")
def initialised() -> str:
    """Return what the handler of this process set."""
    return os.environ["PROCESSES_INIT"]


@signals.worker_process_init.connect
def _on_process_init(**_: Any) -> None:
    os.environ["PROCESSES_INIT"] = success.delay().id


@signals.worker_ready.connect
def _on_ready(sender: Any, **_: Any) -> None:
    @app.task(name="processes.late")
    def late() -> str:
        with tracer.start_as_current_span("inner"):
            return "late"

    late.bind(app)
    sender.update_strategies()
