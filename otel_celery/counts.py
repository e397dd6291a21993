"""What does a fact add to the metrics, and what does this worker hold?

Only the speaker's thread writes here. Facts are taken in the order in which they happened, so at
any moment the ledger closes: consumed = outcomes + active + reserved + scheduled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from otel_celery import conventions as c
from otel_celery import timing
from otel_celery.bounds import Bounds
from otel_celery.conventions import Metric
from otel_celery.facts import Delivery, Due, Ended, Published
from otel_celery.metrics import Instruments, values_of

_FAILED = frozenset({c.FAILURE, c.TIMEOUT, c.LOST})
_NAMELESS = frozenset({c.UNKNOWN, c.INVALID})


class Counts:
    """Turns facts into points, and keeps which deliveries are waiting or running."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._bounds = Bounds(lambda: self.add(c.OVERFLOWS, {}))
        # Series are found by the values of their attributes, in the order of the catalogue.
        self._sent = instruments.counters(c.SENT_MESSAGES)
        self._client_durations = instruments.histograms(c.CLIENT_DURATION)
        self._consumed = instruments.counters(c.CONSUMED_MESSAGES)
        self._waits = instruments.histograms(c.QUEUE_WAIT)
        self._outcomes = instruments.counters(c.OUTCOMES)
        self._durations = instruments.histograms(c.PROCESS_DURATION)
        self.waiting: dict[Delivery, float] = {}  # due at, Unix seconds
        self.active: dict[Delivery, int] = {}  # begun, monotonic ns

    def add(self, metric: Metric, attributes: Mapping[str, Any], amount: int = 1) -> None:
        """Add to a counter; for what is rare."""
        self._instruments.counters(metric)[values_of(metric, attributes)].add(amount)

    def settle(self) -> None:
        """Hand on the sums of a slice."""
        self._instruments.settle()

    def published(self, fact: Published) -> None:
        queue, task = self._bounds.queue(fact.queue), self._bounds.task(fact.task)
        failure = fact.failure
        error = None if failure is None else self._bounds.error(task, failure.type)
        values = fact.broker.system, c.PUBLISH, queue, task, error
        self._sent[values].add()
        self._client_durations[values].record(fact.duration_ns / 1e9)

    def received(self, delivery: Delivery) -> None:
        queue = self._bounds.queue(delivery.queue)
        again = True if delivery.redelivered else None
        self._consumed[delivery.broker.system, c.RECEIVE, queue, again].add()
        self.waiting[delivery] = delivery.due_at or 0.0

    def started(self, delivery: Delivery) -> None:
        if self.waiting.pop(delivery, None) is None:
            return  # it was given back, and what becomes of it now is nobody's
        self.active[delivery] = delivery.start_mono
        wait = self.queue_wait(delivery)
        if wait is not None:
            seconds, skewed = wait
            if skewed:
                self.add(c.SKEW_CORRECTIONS, {})
            queue, task = self._bounds.queue(delivery.queue), self._bounds.task(delivery.name)
            self._waits[delivery.broker.system, queue, task].record(seconds, delivery.own)

    @staticmethod
    def queue_wait(delivery: Delivery) -> tuple[float, bool] | None:
        """Return (seconds, skewed); None where it cannot be known.

        The stamp of a redelivered message includes its first run.
        """
        if delivery.sent_at is None or delivery.redelivered or not delivery.begun:
            return None
        return timing.queue_wait(delivery.sent_at, delivery.start_ns / 1e9, delivery.due_at or 0.0)

    def ended(self, fact: Ended, end_mono: int) -> None:
        delivery = fact.delivery
        self.waiting.pop(delivery, None)
        self.active.pop(delivery, None)
        system, state, bounds = delivery.broker.system, fact.state, self._bounds
        queue = bounds.queue(delivery.queue)
        # Anybody can send any name: what was never a task of ours takes no place among them.
        task = c.OTHER if state in _NAMELESS else bounds.task(delivery.name)
        error = bounds.error(task, fact.error_type) if fact.error_type else None
        expected = True if fact.expected else None
        self._outcomes[system, queue, task, state, error, expected].add()
        if delivery.start_mono > 0:
            failed = c.OTHER if state in _FAILED else None
            self._durations[system, c.PROCESS, queue, task, failed].record(
                max(end_mono - delivery.start_mono, 0) / 1e9, delivery.own
            )

    def due(self, fact: Due) -> None:
        if fact.lateness is not None:
            self._instruments.histograms(c.LATENESS)[(fact.entry,)].record(fact.lateness)

    def expect(self, queues: Iterable[str]) -> None:
        """Keep a place for these queues: names that come by messages may be anybody's."""
        for queue in queues:
            self._bounds.queue(queue)

    def zero(self, task: str, system: str, queue: str) -> None:
        """Begin success and failure at 0, so that `increase()` sees the first failure."""
        queue, task = self._bounds.queue(queue), self._bounds.task(task)
        for state in (c.SUCCESS, c.FAILURE):
            self._outcomes[system, queue, task, state, None, None].add(0)

    def held(self) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """Yield how many deliveries are active, reserved and scheduled; the three are disjoint."""
        now = time.time()
        scheduled = sum(due > now for due in self.waiting.values())
        yield len(self.active), {c.HELD_STATE: "active"}
        yield len(self.waiting) - scheduled, {c.HELD_STATE: "reserved"}
        yield scheduled, {c.HELD_STATE: "scheduled"}

    def oldest_active(self) -> Iterable[tuple[float, Mapping[str, Any]]]:
        """Yield the age of the oldest running delivery of each task, in seconds."""
        now = time.monotonic_ns()
        oldest: dict[str, int] = {}
        for delivery, begun in self.active.items():
            task = self._bounds.task(delivery.name)
            oldest[task] = min(begun, oldest.get(task, begun))
        for task, begun in oldest.items():
            yield max(now - begun, 0) / 1e9, {c.TASK_NAME: task}
