"""What do the metrics say about tasks, queues and workers?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from otel_celery import conventions as c
from otel_celery.view.records import Histogram, Number, Series, Snapshot

FRESH = 5.0
"""Seconds that a reading of a broker stands for; an older one is unknown."""

BAD = (c.FAILURE, c.TIMEOUT, c.LOST)

KEYS = {
    c.TASK_COUNT.name: c.HELD_STATE,
    c.PROCESS_EXITS.name: c.EXIT_REASON,
    c.POOL_LIMIT.name: c.POOL_TYPE,
    c.OUTCOMES.name: c.TASK_STATE,
    c.QUEUE_CONSUMING.name: c.QUEUE,
}
"""Of a worker's metrics, by which attribute they are added up; the others have one series."""

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
    run: Histogram | None
    outcomes: Mapping[str, int] = field(default_factory=dict)  # all states that were seen


@dataclass(frozen=True)
class QueueRow:
    """One queue as its broker told it last. None: not known."""

    name: str
    waiting: int | None
    oldest_age: float | None
    unacked: int | None = None
    consumers: int | None = None
    published: int = 0


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
    pool_type: str = ""
    processed: int = 0  # deliveries that ended, whatever became of them
    failed: int = 0  # of them: failure unless expected, timeout, lost
    memory: float | None = None  # bytes
    memory_limit: float | None = None
    cpu_time: float | None = None  # seconds since it began
    connected: bool | None = None  # to its broker
    queues: list[str] = field(default_factory=list)  # that it consumes


def task_rows(snapshot: Snapshot) -> list[TaskRow]:
    """Return a row for each task of which a delivery ended, by name."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    expected: Counter[str] = Counter()
    for series, point in select(snapshot.numbers, c.OUTCOMES):
        if point.value:
            name = str(series.get(c.TASK_NAME))
            outcomes[name][str(series.get(c.TASK_STATE))] += int(point.value)
            expected[name] += int(point.value) if series.get(c.TASK_EXPECTED) else 0
    waits, runs = merge_by_task(snapshot, c.QUEUE_WAIT), merge_by_task(snapshot, c.PROCESS_DURATION)
    return [
        TaskRow(
            name=name,
            runs=runs[name].count if name in runs else 0,
            ok=outcomes[name][c.SUCCESS],
            failed=outcomes[name][c.FAILURE] - expected[name],
            expected=expected[name],
            retried=outcomes[name][c.RETRY],
            requeued=outcomes[name][c.REQUEUED],
            lost=outcomes[name][c.LOST],
            timeout=outcomes[name][c.TIMEOUT],
            wait=waits.get(name),
            run=runs.get(name),
            outcomes=dict(outcomes[name]),
        )
        for name in sorted({*outcomes, *(name for name, run in runs.items() if run.count)})
    ]


def queue_rows(snapshot: Snapshot, now: float, fresh: float = FRESH) -> list[QueueRow]:
    """Return a row for each queue that was published to or read, by name.

    Args:
        snapshot: what arrived.
        now: Unix seconds.
        fresh: seconds that a reading of a broker stands for.
    """
    depths = read_queues(snapshot, c.QUEUE_DEPTH, now, fresh)
    ages = read_queues(snapshot, c.OLDEST_MESSAGE, now, fresh)
    consumers = read_queues(snapshot, c.QUEUE_CONSUMERS, now, fresh)
    published = add_up(snapshot, c.SENT_MESSAGES, c.QUEUE, without=c.ERROR_TYPE)
    known_names = {
        str(name)
        for metric in (c.SENT_MESSAGES, c.QUEUE_DEPTH)
        for series, _ in select(snapshot.numbers, metric)
        if (name := series.get(c.QUEUE)) is not None  # Redis counts unacked ones of all queues
    }
    rows = []
    for name in sorted(known_names):
        known = [depths[name, state] for state in ("ready", "delayed") if (name, state) in depths]
        rows.append(
            QueueRow(
                name,
                waiting=int(sum(known)) if known else None,
                oldest_age=ages.get((name, None)),
                unacked=whole(depths.get((name, "unacked"))),
                consumers=whole(consumers.get((name, None))),
                published=published[name],
            )
        )
    return rows


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def worker_rows(snapshot: Snapshot, now: float) -> list[WorkerRow]:
    """Return a row for each worker that has told its heartbeat, by name."""
    told: defaultdict[str, list[tuple[Series, Number]]] = defaultdict(list)
    for series, point in snapshot.numbers.items():
        told[series.instance].append((series, point))
    rows = []
    for series, beat in select(snapshot.numbers, c.WORKER_HEARTBEAT):
        sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
        latest: dict[str, float] = {}
        for other, point in told[series.instance]:
            key = KEYS.get(other.name)
            if key is None:
                latest[other.name] = point.value
            elif point.value and other.get(c.TASK_EXPECTED):
                sums["expected"][other.name] += int(point.value)
            elif point.value:
                sums[other.name][str(other.get(key))] += int(point.value)
        held, ended = sums[c.TASK_COUNT.name], sums[c.OUTCOMES.name]
        pools, consumed = sums[c.POOL_LIMIT.name], sums[c.QUEUE_CONSUMING.name]
        connected = latest.get(c.BROKER_CONNECTED.name)
        rows.append(
            WorkerRow(
                name=series.instance,
                heartbeat_age=max(now - beat.value, 0.0),
                pool=pools.total(),
                active=held["active"],
                reserved=held["reserved"],
                scheduled=held["scheduled"],
                exits=dict(sorted(sums[c.PROCESS_EXITS.name].items())),
                pool_type=", ".join(sorted(pools)),
                processed=ended.total() + sums["expected"].total(),
                failed=sum(ended[state] for state in BAD),
                memory=latest.get(c.WORKER_MEMORY.name),
                memory_limit=latest.get(c.WORKER_MEMORY_LIMIT.name),
                cpu_time=latest.get(c.WORKER_CPU.name),
                connected=None if connected is None else bool(connected),
                queues=sorted(consumed),
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
        merged[task] = merged[task] + point if task in merged else point
    return merged


def read_queues(
    snapshot: Snapshot, metric: c.Metric, now: float, fresh: float
) -> dict[tuple[str, object], float]:
    """Return fresh readings by queue and message state.

    Several workers may read the same queue: the largest reading stands, never the sum.
    """
    readings: dict[tuple[str, object], float] = {}
    for series, point in select(snapshot.numbers, metric):
        key = str(series.get(c.QUEUE)), series.get(c.QUEUE_STATE)
        if now - point.at <= fresh:
            readings[key] = max(point.value, readings.get(key, 0.0))
    return readings
