"""What can be known of a queue without touching it?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class QueueReading:
    """What one broker knows about one queue, now. None: cannot be known."""

    queue: str
    ready: int
    """Messages a worker could take."""
    unacked: int | None = None
    """Messages that workers hold and have not acknowledged."""
    delayed: int | None = None
    """Messages that the broker itself keeps back until they are due."""
    consumers: int | None = None
    oldest_age: float | None = None
    """Seconds that the head of the queue has waited since it was due; 0 when nothing waits.

    A lower bound: a message that was put back may stand behind younger ones.
    """


@dataclass(frozen=True)
class BrokerReading:
    """What a broker knows only for all its queues together. None: cannot be known."""

    unacked: int | None = None
    oldest_unacked_age: float | None = None
    """Seconds since the delivery of the message held longest; 0 when none is held."""


Reading = QueueReading | BrokerReading


class QueueReader(Protocol):
    """Reads queues without changing them.

    A reader owns no thread and no connection: it is lent a kombu channel for one
    round. It must not declare, create or consume, and must work again after an error.
    """

    transports: frozenset[str]
    """kombu's lower-case names of the transports that it can read."""

    def read(self, channel: Any, queues: Iterable[str]) -> Sequence[Reading]:
        """Return what can be known, now.

        A queue that does not exist, or of which nothing is known, has no reading; an error of the
        connection is left to the caller.
        """
        ...
