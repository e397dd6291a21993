"""What does a process remember of each series between two readings?

A cell is one series. Whoever counts finds it by the values of its attributes and adds a number: no
dict of attributes is built, no key is made of one, nothing is checked but the number. That is why
the metrics of a task cost next to nothing. `otel_celery.sdk.points` makes points of cells.

No cell has a lock: whoever writes or reads any of them holds the one of `Instruments`.
"""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from otel_celery.conventions import Metric
from otel_celery.envelope import Trace

Values: TypeAlias = "tuple[Any, ...]"
"""What tells a series apart: one for each key of its row in the catalogue; None: it has not."""
Kept: TypeAlias = "tuple[float, int, Trace, Values]"
"""An exemplar: value, Unix ns, span, and the values that its series stands for, if not its own."""

_logger = logging.getLogger(__name__)

MOST_SERIES = 2000
"""Of one metric; what would be further ones is one series together, which says so.

Source: OpenTelemetry specification, metrics/sdk.md, cardinality limits.
"""
OVERFLOW: Mapping[str, bool] = {"otel.metric.overflow": True}


class Adds(Protocol):
    """A series that counts."""

    def add(self, amount: float = 1) -> None:
        """Count so many, 0 or more."""


class Records(Protocol):
    """A series of a histogram."""

    def record(self, value: float, trace: Trace | None = None) -> None:
        """Put a value, 0 or more, into its bucket; of a sampled trace it may be the exemplar."""


class CounterCell:
    """One series of a counter; it begins at 0."""

    __slots__ = ("attributes", "since_ns", "value")

    def __init__(self, metric: Metric, attributes: Mapping[str, Any]) -> None:
        self.attributes, self.since_ns = attributes, time.time_ns()
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        self.value += amount

    def standing_for(self, values: Values) -> CounterCell:
        """Return itself: it keeps no exemplars."""
        return self


class HistogramCell:
    """One series of a histogram; each bucket keeps the last value that has a trace."""

    __slots__ = (
        "attributes", "bounds", "buckets", "exemplars", "largest", "name", "since_ns", "smallest",
        "sum",
    )  # fmt: skip

    def __init__(self, metric: Metric, attributes: Mapping[str, Any]) -> None:
        self.attributes, self.since_ns = attributes, time.time_ns()
        self.name, self.bounds = metric.name, metric.buckets
        self.buckets = [0] * (len(self.bounds) + 1)
        self.exemplars: list[Kept | None] = [None] * len(self.buckets)
        self.sum: float = 0
        self.smallest, self.largest = math.inf, -math.inf

    def record(self, value: float, trace: Trace | None = None, values: Values = ()) -> None:
        if not 0 <= value < math.inf:
            _logger.warning("%s is nothing that %s can have: left out.", value, self.name)
            return
        bucket = bisect_left(self.bounds, value)
        self.buckets[bucket] += 1
        self.sum += value
        if value < self.smallest:
            self.smallest = value
        if value > self.largest:
            self.largest = value
        if trace is not None and trace.sampled:
            self.exemplars[bucket] = value, time.time_ns(), trace, values

    def standing_for(self, values: Values) -> Records:
        """Return what records here, for a series beyond the limit."""
        return _Beyond(self, values)


class _Beyond:
    """A series beyond the limit: its exemplars say which one it would have been."""

    __slots__ = ("_cell", "_values")

    def __init__(self, cell: HistogramCell, values: Values) -> None:
        self._cell, self._values = cell, values

    def record(self, value: float, trace: Trace | None = None) -> None:
        self._cell.record(value, trace, self._values)


Cell = TypeVar("Cell", CounterCell, HistogramCell)


class Row(dict[Values, Cell], Generic[Cell]):
    """The cells of one metric by their values, each made when it is first asked for."""

    def __init__(self, metric: Metric, kind: type[Cell]) -> None:
        self.metric = metric
        self._kind: type[Cell] = kind
        self._rest: Cell | None = None

    def __missing__(self, values: Values) -> Any:
        if len(self) >= MOST_SERIES:
            if self._rest is None:
                self._rest = self._kind(self.metric, OVERFLOW)
            return self._rest.standing_for(values)
        cell = self[values] = self._kind(self.metric, attributes_of(self.metric, values))
        return cell

    def cells(self) -> Iterator[Cell]:
        """Yield all of them in the order in which they began."""
        yield from self.values()
        if self._rest is not None:
            yield self._rest


class Cells:
    """All series of a process, the fast lane of `Instruments`."""

    def __init__(self) -> None:
        self.counting: dict[Metric, Row[CounterCell]] = {}
        self.recording: dict[Metric, Row[HistogramCell]] = {}

    def counters(self, metric: Metric) -> Mapping[Values, Adds]:
        """Return the series of a counter."""
        return self.counting.setdefault(metric, Row(metric, CounterCell))

    def histograms(self, metric: Metric) -> Mapping[Values, Records]:
        """Return the series of a histogram."""
        return self.recording.setdefault(metric, Row(metric, HistogramCell))

    def settle(self) -> None:
        """Nothing was put off."""


def attributes_of(metric: Metric, values: Values) -> dict[str, Any]:
    """Return the attributes that these values are."""
    return {key: value for key, value in zip(metric.keys, values, strict=True) if value is not None}
