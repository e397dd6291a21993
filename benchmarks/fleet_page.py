"""How do docs/metrics.md and docs/scaling.md show what a fleet has and what it costs?

Each function is one of their tables, see `tests/tables.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import results
from benchmarks.page import NOT_YET, table
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


def workers() -> str:
    """Return what a Collector needed by the number of workers."""
    return _shown("workers", {"workers": "{workers:,}", "histograms": "{histograms}"})


def rate() -> str:
    """Return the same by tasks a second."""
    return _shown("rate", {"tasks/s": "{tasks_per_second:,.0f}", "overlay": "{overlay}"})


def shape() -> str:
    """Return the same by what each worker has."""
    return _shown(
        "shape", {"tasks": "{tasks}", "queues": "{queues}", "pool processes": "{children}"}
    )


def jitter() -> str:
    """Return how long a request was under way, by whether all came at once."""
    heads = ("metrics of 1,000 workers", "median, s", "99 of 100, s", "longest, s", "memory, most")
    rows = [
        (
            "in the same moment" if one["at_once"] else "spread over the interval",
            *(f"{one[f'taken_after_{name}']:.3f}" for name in ("median", "p99", "max")),
            f"{one['rss_most'] / MIB:,.0f} MiB",
        )
        for one in _measured()
        if one["workers"] == 1000 and not one["native"]
    ]
    return table(heads, rows) if rows else NOT_YET


def ledger() -> str:
    """Say whether what the Collector counted is what was sent."""
    runs = _measured()
    if not runs:
        return NOT_YET
    took = [
        one
        for one in runs
        if (one["accepted_points"], one["accepted_spans"]) == (one["points"], one["spans"])
    ]
    alike = [one for one in runs if one["series_of_workers"] == one["series_by_formula"]]
    counted = [one for one in runs if one["series_of_workers"] is not None]
    return (
        f"In {len(took)} of {len(runs)} runs the Collector took exactly the points and spans that"
        f" were sent. In {len(alike)} of {len(counted)} runs whose page was counted it showed"
        " exactly as many series as the formula says.\n"
    )


MIB = 1 << 20
USUAL_WORKERS = 100
"""Of these the other tables vary one thing."""

NEEDS = {
    "series": "{series_by_formula:,}",
    "cores": "{cores:.2f}",
    "memory, most": "{memory:,.0f} MiB",
    "longest scrape": "{scrape_seconds:.1f} s",
    "requests/s": "{requests_per_second:,.0f}",
    "sent, KiB/s": "{kib_per_second:,.0f}",
}


def _measured() -> Sequence[dict[str, Any]]:
    kept = results.kept("fleet")
    return [] if kept is None else kept["measured"]


def _shown(part: str, first: Mapping[str, str]) -> str:
    columns = {**first, **NEEDS}
    rows = [
        [text.format(**_with_sums(one)) for text in columns.values()]
        for one in _measured()
        if one["part"] == part or (one["part"], one["workers"]) == ("workers", USUAL_WORKERS)
    ]
    return table(tuple(columns), rows) if rows else NOT_YET


def _with_sums(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "histograms": "native" if one["native"] else "buckets",
        "tasks_per_second": one["rate"] * one["workers"],
        "memory": one["rss_most"] / MIB,
        "requests_per_second": one["requests"] / one["seconds"],
        "kib_per_second": one["bytes"] / 1024 / one["seconds"],
    }


TABLES: dict[str, Callable[[], str]] = {
    "series": series,
    "series-each": series_each,
    "fleet-workers": workers,
    "fleet-rate": rate,
    "fleet-shape": shape,
    "fleet-jitter": jitter,
    "fleet-ledger": ledger,
}
