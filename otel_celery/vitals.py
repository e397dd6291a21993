"""How is this worker?

Read at each collection; the event loop only stamps the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from otel_celery import conventions as c
from otel_celery.counts import Counts
from otel_celery.metrics import Instruments

Points = Iterable[tuple[float, Mapping[str, Any]]]

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NO_LIMIT = 1 << 60  # version 1 of control groups writes a huge number for "none"


class Vitals:
    """State of a worker's main that its hooks note and its gauges report."""

    def __init__(self, pool_type: str, counts: Counts) -> None:
        self.pool_type = pool_type
        self.consumer: Any = None
        self.connected = False
        self.beaten_at = 0.0
        self.reads_queues = True
        self._pool_size = 0
        self._cpu_seconds = 0.0
        self._counts = counts
        self._process = psutil.Process()

    def observe(self, instruments: Instruments) -> None:
        """Have all gauges of the worker reported."""
        for metric, read in (
            (c.TASK_COUNT, self._counts.held),
            (c.OLDEST_ACTIVE, self._counts.oldest_active),
            (c.POOL_LIMIT, self._pool_limit),
            (c.PREFETCH_LIMIT, self._prefetch_limit),
            (c.WORKER_HEARTBEAT, self._heartbeat),
            (c.BROKER_CONNECTED, lambda: [(int(self.connected), {})]),
            (c.QUEUE_CONSUMING, self._consuming),
            (c.WORKER_CPU, self._cpu),
            (c.WORKER_MEMORY, self._memory),
            (c.WORKER_MEMORY_LIMIT, memory_limit),
        ):
            instruments.observe(metric, read)

    def connect(self, consumer: Any) -> None:
        """The worker has reached its broker, so its loop is about to turn."""
        self.consumer, self.beaten_at = consumer, time.time()
        self.connected = True  # after the heartbeat: from now on that alone is a sign of life

    def beat(self) -> None:
        """The event loop turned; what only its thread may look at is noted."""
        self.beaten_at = time.time()
        if self.connected:
            self._pool_size = self.consumer.pool.num_processes

    def queues(self) -> list[str]:
        """Return the names of the queues that this worker consumes."""
        consumer = getattr(self.consumer, "task_consumer", None)
        return [queue.name for queue in list(consumer.queues)] if consumer is not None else []

    def alive_at(self, now: float) -> float:
        """Return when this worker last was seen to be well.

        Celery waits for a broker that is gone in the very thread that runs the loop: then there is
        no heartbeat, and nothing that a restart would mend.

        Args:
            now: Unix seconds.
        """
        return self._beat_at(now) if self.connected else now

    def _beat_at(self, now: float) -> float:
        # A solo worker's loop stands still while its task runs, and the worker is well.
        if self.pool_type == "solo" and self._counts.active:
            self.beaten_at = now
        return self.beaten_at

    def _heartbeat(self) -> Points:
        if beaten_at := self._beat_at(time.time()):
            yield beaten_at, {}

    def _pool_limit(self) -> Points:
        if self._pool_size:
            yield self._pool_size, {c.POOL_TYPE: self.pool_type}

    def _prefetch_limit(self) -> Points:
        qos = getattr(self.consumer, "qos", None)
        if qos is not None and qos.value is not None:
            yield qos.value, {}

    def _consuming(self) -> Points:
        if self.connected:
            for name in self.queues():
                yield 1, {c.QUEUE: name}

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children()]

    def _cpu(self) -> Points:
        mine = self._process.cpu_times()
        total = mine.user + mine.system + mine.children_user + mine.children_system
        for child in self._process.children():
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        # A child that ends between the two readings is in neither; a counter may not fall.
        self._cpu_seconds = max(self._cpu_seconds, total)
        yield self._cpu_seconds, {}

    def _memory(self) -> Points:
        total = 0
        for process in self._family():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        yield total, {}


def memory_limit() -> Points:
    """Yield the memory limit of the control group, nothing where there is none."""
    for path in _CGROUP_LIMITS:
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # another version, or "max"
            continue
        if limit < _NO_LIMIT:
            yield limit, {}
        return
