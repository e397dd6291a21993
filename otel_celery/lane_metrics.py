"""What does a lane say of itself?

The names are those of the OpenTelemetry convention for SDKs. The lane counts, since its spans never
pass an SDK processor or exporter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_celery.conventions import ERROR_TYPE, SCOPE, Metric
from otel_celery.lanes import SpanLane
from otel_celery.metrics import Instruments

Points = Iterable[tuple[float, Mapping[str, str]]]

_COMPONENT, _TYPE = "otel.component.name", "otel.component.type"
_KEYS = (_COMPONENT, _TYPE)
_IN_QUEUE = frozenset({"queue_full", "closed"})  # dropped before anybody tried to export them

EXPORTED = Metric(
    "otel.sdk.exporter.span.exported", "observable_counter", "{span}",
    "Spans whose export has ended, with its error if it failed.", (*_KEYS, ERROR_TYPE),
)  # fmt: skip
PROCESSED = Metric(
    "otel.sdk.processor.span.processed", "observable_counter", "{span}",
    "Spans that left the queue, with the reason if they were dropped.", (*_KEYS, ERROR_TYPE),
)  # fmt: skip
QUEUE_SIZE = Metric(
    "otel.sdk.processor.span.queue.size", "observable_updowncounter", "{span}",
    "Spans that wait to be exported.", _KEYS,
)  # fmt: skip
QUEUE_CAPACITY = Metric(
    "otel.sdk.processor.span.queue.capacity", "observable_updowncounter", "{span}",
    "Spans that may wait to be exported.", _KEYS,
)  # fmt: skip
LANE_METRICS = (EXPORTED, PROCESSED, QUEUE_SIZE, QUEUE_CAPACITY)


class LaneMetrics:
    """Reports a lane's counts; nothing for one that keeps none, as an application's own."""

    def __init__(self, lane: SpanLane) -> None:
        self._lane = lane
        self._exporter = {_COMPONENT: f"{SCOPE}/exporter", _TYPE: f"{SCOPE}_span_exporter"}
        self._processor = {_COMPONENT: f"{SCOPE}/queue", _TYPE: f"{SCOPE}_span_processor"}

    def observe(self, instruments: Instruments) -> None:
        """Have the counts reported at each collection."""
        if self._lane.counts().capacity:
            instruments.observe(EXPORTED, self._exported)
            instruments.observe(PROCESSED, self._processed)
            instruments.observe(
                QUEUE_SIZE, lambda: [(self._lane.counts().waiting, self._processor)]
            )
            instruments.observe(
                QUEUE_CAPACITY, lambda: [(self._lane.counts().capacity, self._processor)]
            )

    def _exported(self) -> Points:
        counts = self._lane.counts()
        yield counts.sent, self._exporter
        for reason, amount in counts.dropped.items():
            if reason not in _IN_QUEUE:
                yield amount, {**self._exporter, ERROR_TYPE: reason}

    def _processed(self) -> Points:
        counts = self._lane.counts()
        tried = sum(n for reason, n in counts.dropped.items() if reason not in _IN_QUEUE)
        yield counts.sent + tried, self._processor
        for reason in _IN_QUEUE & counts.dropped.keys():
            yield counts.dropped[reason], {**self._processor, ERROR_TYPE: reason}
