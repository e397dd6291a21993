"""The app of the long run: writes every second what its worker's main holds, to the file HELD.

Each line is JSON: seconds, resident MiB, descriptors, threads, and the size of everything with a
length that any object of ours holds. QUEUE says how many spans may wait for export.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery, signals
from opentelemetry import trace
from watching import watch

import otel_celery
from otel_celery import bootstrap

app = Celery("long", broker=os.environ["CASES_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True, task_ignore_result=True, worker_prefetch_multiplier=50
)
for name in ("celery.app.trace", "celery.worker.strategy"):  # two lines for each task
    logging.getLogger(name).setLevel(logging.WARNING)
watch(app)
tracer = trace.get_tracer("long")

SKIPPED = (str, bytes, bytearray, type)


@app.task(name="inner")  # type: ignore[untyped-decorator]
def inner() -> None:
    """Make a span of its own."""
    with tracer.start_as_current_span("inner"):
        pass


def parts(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object of ours holds by name."""
    yield from list(getattr(owner, "__dict__", {}).items())
    for name in getattr(type(owner), "__slots__", ()):
        if hasattr(owner, name):
            yield name, getattr(owner, name)


def sizes(owner: Any, path: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """Yield the size of each collection within an object of ours, by its path."""
    for name, held in parts(owner):
        if id(held) in seen or isinstance(held, SKIPPED):
            continue
        seen.add(id(held))
        here = f"{path}.{name}"
        if type(held).__module__.startswith(otel_celery.__name__) and not isinstance(held, tuple):
            yield from sizes(held, here, seen)
        elif isinstance(held, list | tuple | dict | set | frozenset) or hasattr(held, "maxlen"):
            yield here, len(held)


def watch_main() -> None:
    """Write a line a second, for as long as the worker lives."""
    page = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    began = time.monotonic()
    with Path(os.environ["HELD"]).open("w", buffering=1) as out:
        while True:
            line = {
                "seconds": round(time.monotonic() - began, 1),
                "memory": round(int(Path("/proc/self/statm").read_text().split()[1]) * page, 1),
                "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
                "threads": threading.active_count(),
                "sizes": dict(sizes(bootstrap._current, "", set())) if bootstrap._current else {},
            }
            out.write(json.dumps(line) + "\n")
            time.sleep(1)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _on_ready(**_: Any) -> None:
    if bootstrap._current is not None and bootstrap._current.here.exporter is not None:
        lane: Any = bootstrap._current.here.exporter.lane
        lane._outbox.most_spans = int(os.environ["QUEUE"])
    threading.Thread(target=watch_main, daemon=True).start()
