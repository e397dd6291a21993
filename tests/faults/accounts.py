"""What became of the spans that were made, by their ids and by what was counted?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.receiver import Receiver
from tests.worker import harness

PROCESSED, EXPORTED = "otel.sdk.processor.span.processed", "otel.sdk.exporter.span.exported"


class Account(NamedTuple):
    """Spans of one kind, or of one name."""

    arrived: int
    twice: int

    def of(self, made: int) -> str:
        """Return how many arrived, in words."""
        words = f"{self.arrived:,} of {made:,}"
        return f"{words}, {self.twice:,} more than once" if self.twice else words


def spans(*receivers: Receiver, name: str = "", kind: Span.SpanKind = harness.CONSUMER) -> Account:
    """Count the spans that receivers took, each id once; process spans unless a name is given."""
    ids = Counter(
        span.span_id
        for receiver in receivers
        for span in receiver.taken
        if (span.name == name if name else span.kind == kind)
    )
    return Account(len(ids), sum(times > 1 for times in ids.values()))


def dropped(receiver: Receiver) -> int:
    """Return how many spans were counted as dropped, wherever that was."""
    lanes = sum(
        point.value
        for metric in (PROCESSED, EXPORTED)
        for point in harness.points(receiver, metric)
        if "error.type" in point.attributes
    )
    # A refused span has left the queue without error: it stands under the exporter alone.
    return int(lanes + harness.total(receiver, "otel_celery.relay.dropped"))


def seconds(act: Callable[[], object]) -> float:
    """Return how long something took."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def later(took: float, usual: float) -> str:
    """Return a difference as the page shows it."""
    return f"{max(took - usual, 0.0):.1f} s"
