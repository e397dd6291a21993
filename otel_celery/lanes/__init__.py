"""What must every way out for spans or log records keep to?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from otel_celery.span import FinishedSpan


class Counts(NamedTuple):
    """What became of the spans or log records of one lane since it was made."""

    sent: int
    dropped: Mapping[str, int]  # by reason
    waiting: int
    capacity: int


class Lane(Protocol):
    """Brings what it is given out of the process.

    What puts never waits: a full lane drops what comes and counts it. Only the courier calls
    `export`. A lane belongs to one process; a forked child makes its own.
    """

    wake: Callable[[], None]
    """Called when enough waits to be worth an export before its time; set by the owner."""

    def export(self, deadline: float) -> float | None:
        """Send what waits; a failed batch stays at the head of the queue.

        Args:
            deadline: monotonic instant at which the caller goes away. `math.inf` says that nobody
                waits: then a back-off is kept to, else there is one attempt in spite of it.

        Returns:
            The monotonic instant at which to call again, None when there is nothing left.
        """

    def counts(self) -> Counts: ...

    def give_up(self) -> int:
        """Take nothing more, and count what still waits as dropped; return how many that are."""

    def close(self) -> None:
        """Give up what still waits, and release connections."""


class TakesSpans(Protocol):
    """What the speaker needs of a lane."""

    def put(self, span: FinishedSpan) -> None: ...

    def put_encoded(self, request: bytes, spans: int) -> None:
        """Take a whole ExportTraceServiceRequest that carries this number of spans."""


class SpanLane(Lane, TakesSpans, Protocol):
    """Takes finished spans."""


class LogLane(Lane, Protocol):
    """Takes log records."""

    def put_part(self, part: bytes, items: int) -> None:
        """Take this number of records, as `log_records.encode_record` makes them, joined."""


class NoLane:
    """The lane where nothing is to be sent: takes everything, keeps nothing."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = _nothing

    def put(self, span: FinishedSpan) -> None:
        pass

    def put_encoded(self, request: bytes, spans: int) -> None:
        pass

    def put_part(self, part: bytes, items: int) -> None:
        pass

    def export(self, deadline: float) -> None:
        pass

    def counts(self) -> Counts:
        return Counts(0, {}, 0, 0)

    def give_up(self) -> int:
        return 0

    def close(self) -> None:
        pass


def _nothing() -> None:
    pass
