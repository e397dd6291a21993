"""Which spans wait to be sent, and what became of those that did?"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from otel_celery.lanes import Counts

QUEUE_FULL = "queue_full"
CLOSED = "closed"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parcel(Generic[T]):
    """What was put at once: a span or a whole request."""

    item: T
    spans: int
    size: int


class Outbox(Generic[T]):
    """Queue bounded by spans and bytes, with the ledger put = sent + dropped + waiting.

    What is being sent still counts as waiting, until `sent` or `drop` tells how that went.
    """

    def __init__(
        self, most_spans: int = 50_000, most_bytes: int = 64 << 20, worth_waking: int = 512
    ) -> None:
        self.most_spans = most_spans
        self.most_bytes = most_bytes
        self.worth_waking = worth_waking
        self.wake: Callable[[], None] = lambda: None
        self._sent = 0
        self._dropped: Counter[str] = Counter()
        self._lock = Lock()
        self._parcels: deque[Parcel[T]] = deque()
        self._spans = self._bytes = 0
        self.closed = False

    def offer(self, item: T, spans: int, size: int) -> None:
        """Take an item, or drop and count it where it does not fit."""
        with self._lock:
            if self.closed:
                self._dropped[CLOSED] += spans
                return
            before = self._spans
            if before + spans > self.most_spans or self._bytes + size > self.most_bytes:
                self._dropped[QUEUE_FULL] += spans
                return
            self._parcels.append(Parcel(item, spans, size))
            self._spans = before + spans
            self._bytes += size
        if before < self.worth_waking <= before + spans:
            self.wake()

    def take(self, most_spans: int, most_bytes: int) -> list[Parcel[T]]:
        """Return the oldest parcels up to these bounds, at least one if any waits."""
        taken: list[Parcel[T]] = []
        spans = size = 0
        with self._lock:
            while self._parcels:
                parcel = self._parcels[0]
                spans += parcel.spans
                size += parcel.size
                if taken and (spans > most_spans or size > most_bytes):
                    break
                taken.append(self._parcels.popleft())
        return taken

    def sent(self, parcels: Iterable[Parcel[T]], *, but: int = 0, reason: str = "") -> None:
        """Note that parcels arrived, but for a number of spans that the other side refused."""
        with self._lock:
            spans = self._settle(parcels)
            refused = min(but, spans)
            self._sent += spans - refused
            if refused:
                self._dropped[reason] += refused

    def drop(self, parcels: Iterable[Parcel[T]], reason: str) -> None:
        with self._lock:
            if spans := self._settle(parcels):
                self._dropped[reason] += spans

    def close(self) -> int:
        """Drop all that waits, what is being sent included: how that went is not asked any more.

        Returns:
            How many that were.
        """
        with self._lock:
            self.closed = True
            left = self._spans
            if left:
                self._dropped[CLOSED] += left
            self._parcels.clear()
            self._spans = self._bytes = 0
            return left

    def counts(self) -> Counts:
        with self._lock:
            return Counts(self._sent, dict(self._dropped), self._spans, self.most_spans)

    def _settle(self, parcels: Iterable[Parcel[T]]) -> int:
        if self.closed:  # a request was on its way, and its spans stand under "closed"
            return 0
        spans = 0
        for parcel in parcels:
            spans += parcel.spans
            self._bytes -= parcel.size
        self._spans -= spans
        return spans
