"""What does a lane say of itself?

The names are those of the OpenTelemetry convention for SDKs. The lane counts, since what it carries
never passes an SDK processor or exporter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from otel_celery.conventions import ERROR_TYPE, SCOPE, Metric
from otel_celery.lanes import Lane
from otel_celery.metrics import Instruments

Points = Iterable[tuple[float, Mapping[str, str]]]

_COMPONENT, _TYPE = "otel.component.name", "otel.component.type"
_KEYS = (_COMPONENT, _TYPE)
_IN_QUEUE = frozenset({"queue_full", "closed"})  # dropped before anybody tried to export them


class Rows(NamedTuple):
    """The metrics of one lane."""

    exported: Metric
    processed: Metric
    queue_size: Metric
    queue_capacity: Metric


def _rows(signal: str, unit: str, what: str) -> Rows:
    exporter, processor = f"otel.sdk.exporter.{signal}", f"otel.sdk.processor.{signal}"
    return Rows(
        Metric(
            f"{exporter}.exported", "observable_counter", unit,
            f"{what} whose export has ended, with its error if it failed.", (*_KEYS, ERROR_TYPE),
        ),
        Metric(
            f"{processor}.processed", "observable_counter", unit,
            f"{what} that left the queue, with the reason if they were dropped.",
            (*_KEYS, ERROR_TYPE),
        ),
        Metric(
            f"{processor}.queue.size", "observable_updowncounter", unit,
            f"{what} that wait to be exported.", _KEYS,
        ),
        Metric(
            f"{processor}.queue.capacity", "observable_updowncounter", unit,
            f"{what} that may wait to be exported.", _KEYS,
        ),
    )  # fmt: skip


SPAN_ROWS = _rows("span", "{span}", "Spans")
LOG_ROWS = _rows("log", "{log_record}", "Log records of tasks")
LANE_METRICS = (*SPAN_ROWS, *LOG_ROWS)


class LaneMetrics:
    """Reports a lane's counts; nothing for one that keeps none, as an application's own."""

    def __init__(self, lane: Lane, rows: Rows = SPAN_ROWS) -> None:
        self._lane, self._rows = lane, rows
        signal = "span" if rows is SPAN_ROWS else "log"
        self._exporter = {_COMPONENT: f"{SCOPE}/exporter", _TYPE: f"{SCOPE}_{signal}_exporter"}
        self._processor = {_COMPONENT: f"{SCOPE}/queue", _TYPE: f"{SCOPE}_{signal}_processor"}

    def observe(self, instruments: Instruments) -> None:
        """Have the counts reported at each collection."""
        if self._lane.counts().capacity:
            rows = self._rows
            instruments.observe(rows.exported, self._exported)
            instruments.observe(rows.processed, self._processed)
            instruments.observe(
                rows.queue_size, lambda: [(self._lane.counts().waiting, self._processor)]
            )
            instruments.observe(
                rows.queue_capacity, lambda: [(self._lane.counts().capacity, self._processor)]
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
