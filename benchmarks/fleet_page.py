"""How do docs/metrics.md and docs/scaling.md show what a fleet has and what it costs?

Each function is one of their tables, see `tests/tables.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.page import table
from benchmarks.series import ITSELF, Worker

USUAL = Worker(tasks=50, queues=5)
NOTHING, TASK, QUEUE = Worker(0, 0), Worker(1, 0), Worker(0, 1)
READER = NOTHING._replace(reads_queues=True)
TERMS: Mapping[str, tuple[Worker, Worker]] = {
    "each task that succeeded, failed with one class of error and was retried": (TASK, NOTHING),
    "each further class of error of a task": (TASK._replace(errors=2), TASK),
    "each further reason for its retries": (TASK._replace(retries=2), TASK),
    "each queue that it consumes": (QUEUE, NOTHING),
    "reading the queues for all, from Redis": (READER, NOTHING),
    "each queue, of the worker that reads them": (READER._replace(queues=1), READER),
    "a limit of memory, as a container has": (NOTHING._replace(memory_limit=True), NOTHING),
    "the extra `system-metrics`": (NOTHING._replace(process=True), NOTHING),
}
"""Each term of the sum as two workers that differ by it."""


def term(more: Worker, less: Worker, native: bool) -> int:
    """Return how many series one worker has more than the other."""
    return more._replace(native=native).series() - less._replace(native=native).series()


def series_each() -> str:
    """Return the formula, one row for each of its terms."""
    rows = [
        (what, *(term(*pair, native) for native in (False, True))) for what, pair in TERMS.items()
    ]
    rows.insert(0, ("the worker", NOTHING.series(), NOTHING._replace(native=True).series()))
    return table(("what", "series with buckets", "series, native histograms"), rows)


def series() -> str:
    """Return the arithmetic for 50 tasks in 5 queues."""
    native = USUAL._replace(native=True)
    rows: list[tuple[object, ...]] = [
        (f"`{name}`", points, USUAL.series_of(name), native.series_of(name))
        for name, points in USUAL.points().items()
        if name not in ITSELF
    ]
    itself = sum(ITSELF.values()) + 1
    rows.append(("of the worker, and its resource", itself, itself, itself))
    points = sum(USUAL.points().values()) + 1
    rows.append(("together", points, USUAL.series(), native.series()))
    return table(("metric", "points", "series with buckets", "series, native histograms"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "series": series,
    "series-each": series_each,
}
