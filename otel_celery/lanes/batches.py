"""How does what waits leave through exporters of the SDK?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from otel_celery.lanes import Counts
from otel_celery.lanes.outbox import Outbox

T = TypeVar("T")

_BATCH = 512  # as the SDK's batch processor
_TURN = 8  # batches in a row, before other work of the courier has its turn


class Batches(Generic[T]):
    """Prepares what waits and hands it to exporters, both in the courier's thread.

    An exporter retries by itself: what it fails to take is dropped and counted. One that raises
    loses the batch too, and the courier reports it.

    Args:
        exporters: each gets everything.
        prepare: makes what they take of what was offered.
        failure: what they return when they fail.
        outbox: queue; only tests and small machines need another.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        exporters: Sequence[Any],
        prepare: Callable[[Sequence[T]], Sequence[Any]],
        failure: object,
        outbox: Outbox[T] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exporters = exporters
        self._prepare, self._failure = prepare, failure
        self._outbox = Outbox[T]() if outbox is None else outbox
        self._clock = clock
        self._outbox.wake = lambda: self.wake()
        self.wake: Callable[[], None] = lambda: None
        self.apart: AbstractContextManager[object] = nullcontext()
        """Entered while they export; set by the owner."""

    def export(self, deadline: float) -> float | None:
        for _ in range(_TURN):
            if self._clock() >= deadline:
                break
            parcels = self._outbox.take(_BATCH, self._outbox.most_bytes)
            if not parcels:
                return None
            taken = False
            try:
                batch = self._prepare([parcel.item for parcel in parcels])
                with self.apart:
                    results = [exporter.export(batch) for exporter in self.exporters]
                taken = self._failure not in results
            finally:
                if taken:
                    self._outbox.sent(parcels)
                else:
                    self._outbox.drop(parcels, "refused")
        return self._clock()

    def counts(self) -> Counts:
        return self._outbox.counts()

    def give_up(self) -> int:
        return self._outbox.close()

    def close(self) -> None:
        self.give_up()
        for exporter in self.exporters:
            exporter.shutdown()
