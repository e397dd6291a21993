"""What do the metrics say about tasks, queues and workers?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from otel_celery import conventions as c
from otel_celery.cli.store import Histogram, Series, Snapshot

FRESH = 5.0
"""Seconds that a reading of a broker stands for; an older one is unknown."""

Point = TypeVar("Point")


@dataclass(frozen=True)
class TaskRow:
    """One task: how its deliveries ended, and how long they waited and ran."""

    name: str
    runs: int
    ok: int
    failed: int
    expected: int  # failures that the task lists in `throws`
    retried: int
    requeued: int
    lost: int  # its pool process died
    timeout: int  # hard time limit
    wait: Histogram | None  # None: never measured
    run: Histogram


@dataclass(frozen=True)
class QueueRow:
    """One queue as its broker told it last. None: not known."""

    name: str
    waiting: int | None
    oldest_age: float | None


@dataclass(frozen=True)
class WorkerRow:
    """One worker, all its pool processes together."""

    name: str
    heartbeat_age: float
    pool: int
    active: int
    reserved: int
    scheduled: int
    exits: Mapping[str, int]  # reason -> pool processes


def task_rows(snapshot: Snapshot) -> list[TaskRow]:
    """Return a row for each task that has run, by name."""
    states: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for series, point in select(snapshot.numbers, c.OUTCOMES):
        state = "expected" if series.get(c.TASK_EXPECTED) else str(series.get(c.TASK_STATE))
        states[str(series.get(c.TASK_NAME))][state] += int(point.value)
    waits, runs = merge_by_task(snapshot, c.QUEUE_WAIT), merge_by_task(snapshot, c.PROCESS_DURATION)
    return [
        TaskRow(
            name=name,
            runs=runs[name].count,
            ok=states[name][c.SUCCESS],
            failed=states[name][c.FAILURE],
            expected=states[name]["expected"],
            retried=states[name][c.RETRY],
            requeued=states[name][c.REQUEUED],
            lost=states[name][c.LOST],
            timeout=states[name][c.TIMEOUT],
            wait=waits.get(name),
            run=runs[name],
        )
        for name in sorted(runs)
        if runs[name].count
    ]


def queue_rows(snapshot: Snapshot, now: float) -> list[QueueRow]:
    """Return a row for each queue that was published to or read, by name."""
    depths = read_queues(snapshot, c.QUEUE_DEPTH, now)
    ages = read_queues(snapshot, c.OLDEST_MESSAGE, now)
    known_names = {
        str(name)
        for metric in (c.SENT_MESSAGES, c.QUEUE_DEPTH)
        for series, _ in select(snapshot.numbers, metric)
        if (name := series.get(c.QUEUE)) is not None  # Redis counts unacked ones of all queues
    }
    rows = []
    for name in sorted(known_names):
        known = [depths[name, state] for state in ("ready", "delayed") if (name, state) in depths]
        waiting = int(sum(known)) if known else None
        rows.append(QueueRow(name, waiting, ages.get((name, None))))
    return rows


def worker_rows(snapshot: Snapshot, now: float) -> list[WorkerRow]:
    """Return a row for each worker that has told its heartbeat, by name."""
    rows = []
    for series, beat in select(snapshot.numbers, c.WORKER_HEARTBEAT):
        held: Counter[str] = Counter()
        exits: Counter[str] = Counter()
        pool = 0
        for other, point in snapshot.numbers.items():
            if other.instance != series.instance:
                continue
            if other.name == c.TASK_COUNT.name:
                held[str(other.get(c.HELD_STATE))] += int(point.value)
            elif other.name == c.PROCESS_EXITS.name and point.value:
                exits[str(other.get(c.EXIT_REASON))] += int(point.value)
            elif other.name == c.POOL_LIMIT.name:
                pool += int(point.value)
        rows.append(
            WorkerRow(
                name=series.instance,
                heartbeat_age=max(now - beat.value, 0.0),
                pool=pool,
                active=held["active"],
                reserved=held["reserved"],
                scheduled=held["scheduled"],
                exits=dict(sorted(exits.items())),
            )
        )
    return sorted(rows, key=lambda row: row.name)


def quantile(histogram: Histogram | None, share: float) -> float | None:
    """Return the value below which `share` of the measurements lie, as Prometheus does.

    Within a bucket values are taken as evenly spread; beyond the last bound, as the last bound.

    Returns:
        Seconds; None when nothing was measured.
    """
    if histogram is None or not histogram.count or not histogram.bounds:
        return None
    rank = share * sum(histogram.counts)
    lower, below = 0.0, 0
    for upper, count in zip(histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= rank:
            return lower + (upper - lower) * max(rank - below, 0.0) / count
        lower, below = upper, below + count
    return histogram.bounds[-1]


def select(points: Mapping[Series, Point], metric: c.Metric) -> Iterator[tuple[Series, Point]]:
    return ((series, point) for series, point in points.items() if series.name == metric.name)


def add_up(snapshot: Snapshot, metric: c.Metric, key: str, *, without: str = "") -> Counter[str]:
    """Return a counter's sum by one attribute over all processes.

    Args:
        snapshot: what arrived.
        metric: a counter, or an up-down counter.
        key: the attribute.
        without: leave out the series that have this attribute.
    """
    sums: Counter[str] = Counter()
    for series, point in select(snapshot.numbers, metric):
        if not without or series.get(without) is None:
            sums[str(series.get(key))] += int(point.value)
    return sums


def merge_by_task(snapshot: Snapshot, metric: c.Metric) -> dict[str, Histogram]:
    """Return one histogram per task over queues, workers and errors."""
    merged: dict[str, Histogram] = {}
    for series, point in select(snapshot.histograms, metric):
        task = str(series.get(c.TASK_NAME))
        merged[task] = add(merged[task], point) if task in merged else point
    return merged


def add(one: Histogram, other: Histogram) -> Histogram:
    """Return both as one; without buckets where their bounds differ."""
    counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    if one.bounds == other.bounds:
        bounds = one.bounds
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    latest = max(one.at, other.at)
    return Histogram(one.count + other.count, one.total + other.total, bounds, counts, latest)


def read_queues(
    snapshot: Snapshot, metric: c.Metric, now: float
) -> dict[tuple[str, object], float]:
    """Return fresh readings by queue and message state.

    Several workers may read the same queue: the largest reading stands, never the sum.
    """
    readings: dict[tuple[str, object], float] = {}
    for series, point in select(snapshot.numbers, metric):
        key = str(series.get(c.QUEUE)), series.get(c.QUEUE_STATE)
        if now - point.at <= FRESH:
            readings[key] = max(point.value, readings.get(key, 0.0))
    return readings
