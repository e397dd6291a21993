"""What does a fact add to the metrics, and what does this worker hold?

Only the speaker's thread writes here. Facts are taken in the order in which they happened, so at
any moment the ledger closes: consumed = outcomes + active + reserved + scheduled.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.context import Context

from otel_celery import conventions as c
from otel_celery import timing
from otel_celery.conventions import Metric
from otel_celery.facts import Delivery, Due, Ended, Published
from otel_celery.metrics import Bounds, Instruments
from otel_celery.sampling import context_of

_FAILED = frozenset({c.FAILURE, c.TIMEOUT, c.LOST})
_NAMELESS = frozenset({c.UNKNOWN, c.INVALID})

Key = tuple[Metric, tuple[tuple[str, Any], ...]]


class Counts:
    """Turns facts into points, and keeps which deliveries are waiting or running."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._bounds = Bounds(lambda: self.add(c.OVERFLOWS, {}))
        self._sums: Counter[Key] = Counter()
        self.waiting: dict[Delivery, float] = {}  # due at, Unix seconds
        self.active: dict[Delivery, int] = {}  # begun, monotonic ns

    def add(self, metric: Metric, attributes: Mapping[str, Any], amount: int = 1) -> None:
        """Add to a counter; handed to the instrument by `settle`."""
        self._sums[metric, tuple(attributes.items())] += amount

    def settle(self) -> None:
        """Hand the sums of a slice to the instruments: one call a series, not one a task."""
        sums, self._sums = self._sums, Counter()
        for (metric, attributes), amount in sums.items():
            self._instruments.add(metric, amount, dict(attributes))

    def published(self, fact: Published) -> None:
        task = self._bounds.task(fact.task)
        attributes: dict[str, Any] = {
            c.MESSAGING_SYSTEM: fact.broker.system,
            c.OPERATION_NAME: c.PUBLISH,
            c.QUEUE: self._bounds.queue(fact.queue),
            c.TASK_NAME: task,
        }
        if fact.failure is not None:
            attributes[c.ERROR_TYPE] = self._bounds.error(task, fact.failure.type)
        self.add(c.SENT_MESSAGES, attributes)
        self._instruments.record(c.CLIENT_DURATION, fact.duration_ns / 1e9, attributes)

    def received(self, delivery: Delivery) -> None:
        attributes: dict[str, Any] = {
            c.MESSAGING_SYSTEM: delivery.broker.system,
            c.OPERATION_NAME: c.RECEIVE,
            c.QUEUE: self._bounds.queue(delivery.queue),
        }
        if delivery.redelivered:
            attributes[c.TASK_REDELIVERED] = True
        self.add(c.CONSUMED_MESSAGES, attributes)
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
            attributes = self._of(delivery, delivery.name)
            self._instruments.record(c.QUEUE_WAIT, seconds, attributes, _exemplar(delivery))

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
        # Anybody can send any name: what was never a task of ours takes no place among them.
        attributes = self._of(delivery, c.OTHER if fact.state in _NAMELESS else delivery.name)
        outcome = {**attributes, c.TASK_STATE: fact.state}
        if fact.error_type:
            outcome[c.ERROR_TYPE] = self._bounds.error(attributes[c.TASK_NAME], fact.error_type)
        if fact.expected:
            outcome[c.TASK_EXPECTED] = True
        self.add(c.OUTCOMES, outcome)
        if delivery.begun:
            attributes[c.OPERATION_NAME] = c.PROCESS
            if fact.state in _FAILED:
                attributes[c.ERROR_TYPE] = c.OTHER
            self._instruments.record(
                c.PROCESS_DURATION,
                max(end_mono - delivery.start_mono, 0) / 1e9,
                attributes,
                _exemplar(delivery),
            )

    def due(self, fact: Due) -> None:
        if fact.lateness is not None:
            self._instruments.record(c.LATENESS, fact.lateness, {c.BEAT_ENTRY: fact.entry})

    def expect(self, queues: Iterable[str]) -> None:
        """Keep a place for these queues: names that come by messages may be anybody's."""
        for queue in queues:
            self._bounds.queue(queue)

    def zero(self, task: str, system: str, queue: str) -> None:
        """Begin success and failure at 0, so that `increase()` sees the first failure."""
        attributes = {
            c.MESSAGING_SYSTEM: system,
            c.QUEUE: self._bounds.queue(queue),
            c.TASK_NAME: self._bounds.task(task),
        }
        for state in (c.SUCCESS, c.FAILURE):
            self.add(c.OUTCOMES, {**attributes, c.TASK_STATE: state}, 0)

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

    def _of(self, delivery: Delivery, task: str) -> dict[str, Any]:
        return {
            c.MESSAGING_SYSTEM: delivery.broker.system,
            c.QUEUE: self._bounds.queue(delivery.queue),
            c.TASK_NAME: self._bounds.task(task),
        }


def _exemplar(delivery: Delivery) -> Context:
    """Return the context that gives an exemplar the ids of the process span."""
    return context_of(delivery.own) if delivery.own.sampled else Context()
