"""How many series does a worker have?

The arithmetic stands here alone: docs/metrics.md and docs/scaling.md show it, and a test holds it
against what a real worker exports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from otel_celery import conventions as c
from otel_celery.lane_metrics import LANE_METRICS, SPAN_ROWS

BUCKETS: Mapping[str, int] = {m.name: len(m.buckets) for m in (*c.METRICS, *LANE_METRICS)}
"""Of each metric that is not of the extra `system-metrics`; 0: no histogram."""

ITSELF: Mapping[str, int] = {
    **{c.TASK_COUNT.name: len(c.HELD_STATES), c.POOL_LIMIT.name: 1, c.PREFETCH_LIMIT.name: 1},
    **{c.WORKER_HEARTBEAT.name: 1, c.WORKER_CPU.name: 1, c.WORKER_MEMORY.name: 1},
    **{c.BROKER_CONNECTED.name: 1, c.BACKLOG.name: 1, **{row.name: 1 for row in SPAN_ROWS}},
}
PROCESS: Mapping[str, int] = {
    "process.cpu.time": 2,
    "process.context_switches": 2,
    "process.memory.usage": 1,
    "process.memory.virtual": 1,
    "process.open_file_descriptor.count": 1,
    "process.thread.count": 1,
}
"""With the extra `system-metrics`."""


class Worker(NamedTuple):
    """A worker whose tasks have all run; each task lives in one queue.

    How many pool processes it has is not asked: they have no series of their own.

    Attributes:
        tasks: that are registered.
        queues: that it consumes.
        errors: classes with which each task has failed.
        retries: classes for which each task has been retried; a retry is a message that is sent.
        reads_queues: whether it reads the queues for all, from Redis.
        native: histograms are exponential: one series each, not one for each bucket.
        process: with the extra `system-metrics`.
        memory_limit: its control group has one, as a container's mostly has.
    """

    tasks: int
    queues: int
    errors: int = 1
    retries: int = 1
    reads_queues: bool = False
    native: bool = False
    process: bool = False
    memory_limit: bool = False

    def points(self) -> dict[str, int]:
        """Return how many points each metric has; what is rare or passes is not among them."""
        sent = self.tasks * bool(self.retries)
        found = {
            c.PROCESS_DURATION.name: self.tasks * (1 + bool(self.errors)),
            c.QUEUE_WAIT.name: self.tasks,
            c.OUTCOMES.name: self.tasks * (2 + self.errors + self.retries),  # two begin at 0
            c.CLIENT_DURATION.name: sent,
            c.SENT_MESSAGES.name: sent,
            c.CONSUMED_MESSAGES.name: self.queues,
            c.QUEUE_CONSUMING.name: self.queues,
            **ITSELF,
        }
        if self.reads_queues:
            found |= {
                c.QUEUE_DEPTH.name: self.queues + 1,  # what is not acknowledged is of no queue
                c.OLDEST_MESSAGE.name: self.queues,
                c.OLDEST_UNACKED.name: 1,
                c.PROBE_DURATION.name: 1,
            }
        if self.process:
            found |= PROCESS
        if self.memory_limit:
            found[c.WORKER_MEMORY_LIMIT.name] = 1
        return {name: number for name, number in found.items() if number}

    def series_of(self, name: str) -> int:
        """Return how many series Prometheus has of a metric: buckets, +Inf, sum and count."""
        buckets = BUCKETS.get(name, 0)
        each = buckets + 3 if buckets and not self.native else 1
        return self.points().get(name, 0) * each

    def series(self) -> int:
        """Return how many Prometheus has of the worker, its resource in `target_info` included."""
        return sum(map(self.series_of, self.points())) + 1
