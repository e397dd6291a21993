"""Which points do readings of queues become?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from otel_celery import conventions as c
from otel_celery.metrics import Instruments
from otel_celery.queues import BrokerReading, QueueReader, QueueReading
from otel_celery.queues.poller import OnProbe, QueuePoller, built_in_readers
from otel_celery.settings import Settings

Points = Iterable[tuple[float, Mapping[str, Any]]]

_LOOK = 1.0  # seconds between two looks whether a round is due


class QueueMetrics:
    """Reads the queues as a job of the courier, and reports only what is fresh.

    Args:
        app: whose broker is read.
        settings: interval and further queues.
        instruments: of the process.
        readers: of the application; asked before the built-in ones.
        consumed: names of the queues that this worker consumes now.
        should_read: whether it falls to this process.
        on_probe: told of each round.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        instruments: Instruments,
        readers: Sequence[QueueReader] = (),
        consumed: Callable[[], Iterable[str]] = tuple,
        should_read: Callable[[], bool] = lambda: True,
        on_probe: OnProbe = lambda seconds, error_type, system: None,
    ) -> None:
        self._instruments, self._consumed, self._on_probe = instruments, consumed, on_probe
        self._free = threading.Lock()
        self.interval = min(_LOOK, settings.queue_interval)
        self._poller = QueuePoller(
            app,
            [*readers, *built_in_readers()],
            settings.queues,
            settings.queue_interval,
            should_read=should_read,
            on_probe=self._probed,
        )

    def observe(self) -> None:
        """Have what the last round read reported."""
        for metric, read in (
            (c.QUEUE_DEPTH, self._depth),
            (c.OLDEST_MESSAGE, self._oldest),
            (c.QUEUE_CONSUMERS, self._consumers),
            (c.OLDEST_UNACKED, self._oldest_unacked),
        ):
            self._instruments.observe(metric, read)

    def poll(self, deadline: float) -> None:
        """Read if a round is due; for a courier. Not worth the last seconds of a process."""
        if deadline == float("inf") and self._free.acquire(blocking=False):
            try:
                self._poller.poll(time.monotonic(), self._consumed())
            finally:
                self._free.release()

    def close(self) -> None:
        """Let go of the connection, unless it is being read: then it ends with the process."""
        if self._free.acquire(blocking=False):  # for good: no round begins any more
            self._poller.close()

    def _probed(self, seconds: float, error_type: str | None, system: str) -> None:
        self._instruments.record(
            c.PROBE_DURATION, seconds, {c.MESSAGING_SYSTEM: system, c.ERROR_TYPE: error_type}
        )
        self._on_probe(seconds, error_type, system)

    def _queues(self) -> Iterable[tuple[QueueReading, dict[str, Any]]]:
        for reading in self._poller.readings():
            if isinstance(reading, QueueReading):
                yield (
                    reading,
                    {
                        c.MESSAGING_SYSTEM: self._poller.system,
                        c.QUEUE: reading.queue,
                    },
                )

    def _depth(self) -> Points:
        for reading, attributes in self._queues():
            for state in c.QUEUE_STATES:
                value = getattr(reading, state)
                if value is not None:
                    yield value, {**attributes, c.QUEUE_STATE: state}
        for broker in self._poller.readings():
            if isinstance(broker, BrokerReading) and broker.unacked is not None:
                yield (
                    broker.unacked,
                    {
                        c.MESSAGING_SYSTEM: self._poller.system,
                        c.QUEUE_STATE: "unacked",
                    },
                )

    def _oldest(self) -> Points:
        for reading, attributes in self._queues():
            if reading.oldest_age is not None:
                yield reading.oldest_age, attributes

    def _consumers(self) -> Points:
        for reading, attributes in self._queues():
            if reading.consumers is not None:
                yield reading.consumers, attributes

    def _oldest_unacked(self) -> Points:
        for reading in self._poller.readings():
            if isinstance(reading, BrokerReading) and reading.oldest_unacked_age is not None:
                yield reading.oldest_unacked_age, {c.MESSAGING_SYSTEM: self._poller.system}
