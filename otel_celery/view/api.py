"""What does each page know? Its JSON, made from the store, the same for people and programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from otel_celery import __version__
from otel_celery import conventions as c
from otel_celery.view.deliveries import BAD, Wanted, deliveries, failures
from otel_celery.view.figures import (
    TaskRow,
    WorkerRow,
    quantile,
    queue_rows,
    select,
    task_rows,
    worker_rows,
)
from otel_celery.view.history import History, Key, add_lines, ends
from otel_celery.view.records import Histogram, Snapshot, Span
from otel_celery.view.store import Store
from otel_celery.view.waterfall import lay_out, length

FRESH = 40.0
"""Seconds that a reading stands for: exporters send every 15, unless told otherwise."""
ALIVE = 60.0
"""Seconds after its last heartbeat that a worker counts as silent."""
MOST = 200
"""Deliveries in one answer."""
MANY = 2**53
"""Beyond it a number of JSON is not exact everywhere."""

Answer = dict[str, Any]


class Observatory:
    """Looks at a store: once a second for its history, and whenever somebody asks.

    Args:
        store: what arrived.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._history = History()

    def note(self, now: float) -> None:
        """Keep what the store says now for later."""
        snapshot = self.store.snapshot()
        told = latest(snapshot)
        for name, (ended, bad) in totals(snapshot).items():
            at = told[c.OUTCOMES.name, name]
            self._history.note(Key("task", name, "ended"), at, ended)
            self._history.note(Key("task", name, "bad"), at, bad)
        for queue in queue_rows(snapshot, now, FRESH):
            if queue.waiting is not None:
                at = told[c.QUEUE_DEPTH.name, queue.name]
                self._history.note(Key("queue", queue.name, "waiting"), at, queue.waiting)
        for worker in worker_rows(snapshot, now):
            at = now - worker.heartbeat_age
            for what in ("active", "memory", "cpu_time"):
                if (value := getattr(worker, what)) is not None:
                    self._history.note(Key("worker", worker.name, what), at, value)
        self._history.forget(now)

    def status(self, now: float) -> Answer:
        tally = self.store.tally()
        return {
            "now": now,
            "version": __version__,
            "kept": tally._asdict(),
            "limits": asdict(self.store.limits),
        }

    def tasks(self, now: float) -> Answer:
        snapshot = self.store.snapshot()
        rows = [self._task(row, now) for row in task_rows(snapshot)]
        return {
            "now": now,
            "times": ends(now),
            "ended": add_lines(row["rate"] for row in rows),
            "bad": add_lines(row["bad_rate"] for row in rows),
            "tasks": rows,
        }

    def _task(self, row: TaskRow, now: float) -> Answer:
        return {
            "name": row.name,
            "runs": row.runs,
            "outcomes": dict(row.outcomes),
            "expected": row.expected,
            "bad": bad(row),
            "wait": quantiles(row.wait),
            "run": quantiles(row.run),
            "rate": self._history.rates(Key("task", row.name, "ended"), now),
            "bad_rate": self._history.rates(Key("task", row.name, "bad"), now),
        }

    def queues(self, now: float) -> Answer:
        snapshot = self.store.snapshot()
        consumed: dict[str, list[str]] = {}
        for worker in worker_rows(snapshot, now):
            if worker.heartbeat_age <= ALIVE:
                for queue in worker.queues:
                    consumed.setdefault(queue, []).append(worker.name)
        rows = [
            asdict(row)
            | {
                "workers": consumed.get(row.name, []),
                "depth": self._history.levels(Key("queue", row.name, "waiting"), now, FRESH),
            }
            for row in queue_rows(snapshot, now, FRESH)
        ]
        return {"now": now, "times": ends(now), "queues": rows}

    def workers(self, now: float) -> Answer:
        rows = [self._worker(row, now) for row in worker_rows(self.store.snapshot(), now)]
        return {"now": now, "times": ends(now), "workers": rows}

    def _worker(self, row: WorkerRow, now: float) -> Answer:
        alive = row.heartbeat_age <= ALIVE
        unknown = ("active", "reserved", "scheduled", "memory", "connected")
        cpu = self._history.rates(Key("worker", row.name, "cpu_time"), now)
        return (
            asdict(row)
            | ({} if alive else dict.fromkeys(unknown))
            | {
                "alive": alive,
                "node": row.name.rpartition("/")[2],
                "cpu": next((share for share in reversed(cpu) if share is not None), None)
                if alive
                else None,
                "active_line": self._history.levels(Key("worker", row.name, "active"), now, FRESH),
                "memory_line": self._history.levels(Key("worker", row.name, "memory"), now, FRESH),
            }
        )

    def failures(self, now: float) -> Answer:
        found = list(failures(deliveries(self.store.snapshot())))
        return {
            "now": now,
            "total": len(found),
            "failures": [asdict_of(one) for one in found[:MOST]],
        }

    def search(self, now: float, wanted: Wanted) -> Answer:
        everything = deliveries(self.store.snapshot())
        found = [one for one in everything if wanted.matches(one)]
        return {
            "now": now,
            "total": len(found),
            "of": len(everything),
            "tasks": sorted({one.task for one in everything}),
            "states": sorted({one.state for one in everything}),
            "workers": sorted({one.worker for one in everything if one.worker}),
            "deliveries": [asdict_of(one) for one in found[:MOST]],
        }

    def trace(self, now: float, trace_id: str) -> Answer | None:
        """Return one trace as a tree of bars, None when it is not here."""
        spans = list(self.store.snapshot().traces.get(trace_id, {}).values())
        if not spans:
            return None
        return {
            "now": now,
            "trace_id": trace_id,
            "start": min(span.start for span in spans),
            "seconds": length(spans),
            "services": sorted({span.service for span in spans}),
            "spans": [
                plain_span(bar.span) | {"depth": bar.depth, "left": bar.left, "right": bar.right}
                for bar in lay_out(spans)
            ],
        }


def latest(snapshot: Snapshot) -> dict[tuple[str, str], float]:
    """Return when outcomes by task, and depths by queue, were told last."""
    found: dict[tuple[str, str], float] = {}
    for metric, key in ((c.OUTCOMES, c.TASK_NAME), (c.QUEUE_DEPTH, c.QUEUE)):
        for series, point in select(snapshot.numbers, metric):
            place = metric.name, str(series.get(key))
            found[place] = max(point.at, found.get(place, 0.0))
    return found


def totals(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    """Return by task how many deliveries ended, and how many of them badly; zeros count too."""
    found: dict[str, tuple[float, float]] = {}
    for series, point in select(snapshot.numbers, c.OUTCOMES):
        name = str(series.get(c.TASK_NAME))
        ended, bad = found.get(name, (0.0, 0.0))
        is_bad = series.get(c.TASK_STATE) in BAD and not series.get(c.TASK_EXPECTED)
        found[name] = ended + point.value, bad + point.value * is_bad
    return found


def bad(row: TaskRow) -> int:
    return sum(row.outcomes.get(state, 0) for state in BAD) - row.expected


def quantiles(histogram: Histogram | None) -> Answer:
    return {"p50": quantile(histogram, 0.5), "p95": quantile(histogram, 0.95)}


def asdict_of(one: Any) -> Answer:
    told = asdict(one)
    failure = one.failure
    return told | {"failure": None if failure is None else failure._asdict()}


def plain_span(span: Span) -> Answer:
    told: Mapping[str, Any] = span._asdict()
    return {
        **told,
        "attributes": {key: plain(value) for key, value in sorted(span.attributes.items())},
        "failure": None if span.failure is None else span.failure._asdict(),
        "wait": plain(span.attributes.get(c.TASK_QUEUE_WAIT)),
        "state": str(span.attributes.get(c.TASK_STATE, "")),
    }


def plain(value: object) -> Any:
    """Return an attribute's value as JSON has it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > MANY:
        return str(value)
    return value
