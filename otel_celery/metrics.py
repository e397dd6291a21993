"""How does a number become a point of a metric in the catalogue?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from otel_celery.cells import Adds, Cells, Records, Values, attributes_of
from otel_celery.conventions import Metric
from otel_celery.envelope import Trace
from otel_celery.sampling import context_of

Keys: TypeAlias = "Mapping[str, str | bool | int | float | None]"
Point: TypeAlias = "tuple[float, Keys]"
Callback: TypeAlias = "Callable[[], Iterable[Point]]"

_NO_TRACE = set_span_in_context(INVALID_SPAN, Context())  # an empty one would mean: the current


class Series(Protocol):
    """A lane for metrics: where series are until a reader asks for them."""

    def counters(self, metric: Metric) -> Mapping[Values, Adds]:
        """Return the series of a counter; one that is asked for begins at 0."""

    def histograms(self, metric: Metric) -> Mapping[Values, Records]:
        """Return the series of a histogram."""

    def settle(self) -> None:
        """Hand on what was put off."""


class Instruments:
    """The instruments of the catalogue, each made when it is first used.

    Every method takes a row of the catalogue and raises ValueError for a key that the row does not
    have: that is a mistake in our code, which the first test to pass there finds. A key whose value
    is None is left out.

    Args:
        meter: of the process's private provider.
        cells: keep the series, where all readers of that provider take them; else it keeps them.
        lock: held while the series that `counters` and `histograms` return are used, and by who
            reads a consistent state; `add` and `record` take it themselves.
    """

    def __init__(
        self, meter: Meter, cells: Cells | None = None, lock: threading.Lock | None = None
    ) -> None:
        self._meter = meter
        self._series: Series = SdkSeries(meter) if cells is None else cells
        self._callbacks: dict[str, list[Callback]] = {}
        self._replaced: dict[Metric, Mapping[Values, Records]] = {}
        self.lock = lock or threading.Lock()

    def counters(self, metric: Metric) -> Mapping[Values, Adds]:
        """Return the series of a counter by their values, each of which may be kept.

        One that is asked for begins, at 0. Whoever uses them holds the lock.
        """
        _expect(metric, "counter")
        return self._series.counters(metric)

    def histograms(self, metric: Metric) -> Mapping[Values, Records]:
        """Return the series of a histogram by their values, as those of a counter."""
        _expect(metric, "histogram")
        if metric in self._replaced:
            return self._replaced[metric]
        return self._series.histograms(metric)

    def replace(self, metric: Metric, by: Mapping[Values, Records]) -> None:
        """Give these to whoever asks for the series of this histogram from now on."""
        self._replaced[metric] = by

    def settle(self) -> None:
        """Hand on what was added to series; at the end of each slice of work."""
        self._series.settle()

    def add(self, metric: Metric, amount: float, attributes: Keys) -> None:
        """Count."""
        with self.lock:
            self.counters(metric)[values_of(metric, attributes)].add(amount)
            self.settle()

    def zero(self, metric: Metric, attributes: Keys) -> None:
        """Begin a series at 0, so that `increase()` sees its first step."""
        self.add(metric, 0, attributes)

    def record(
        self, metric: Metric, value: float, attributes: Keys, trace: Trace | None = None
    ) -> None:
        """Put a value into a histogram; `trace` is where its exemplar leads to."""
        with self.lock:
            self.histograms(metric)[values_of(metric, attributes)].record(value, trace)

    def observe(self, metric: Metric, callback: Callback) -> None:
        """Ask `callback` for (value, attributes) at each collection; no point where it gives none.

        Several callbacks of one metric each give their points.
        """
        callbacks = self._callbacks.get(metric.name)
        if callbacks is not None:
            callbacks.append(callback)
            return
        _expect(metric, "observable_counter", "observable_gauge", "observable_updowncounter")
        create = {
            "observable_counter": self._meter.create_observable_counter,
            "observable_gauge": self._meter.create_observable_gauge,
            "observable_updowncounter": self._meter.create_observable_up_down_counter,
        }[metric.kind]
        asked = self._callbacks[metric.name] = [callback]

        def ask(_: CallbackOptions) -> Iterator[Observation]:
            for each in tuple(asked):
                for value, attributes in each():
                    yield Observation(value, attributes_of(metric, values_of(metric, attributes)))

        create(metric.name, [ask], metric.unit, metric.description)


class SdkSeries:
    """The reference lane: instruments of the SDK, for whatever cells are not.

    A call of an instrument costs more than all else that is done for a task, so counts are summed
    until `settle`.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._rows: dict[Metric, _SdkRow] = {}
        self._waiting: dict[_Sum, None] = {}

    def counters(self, metric: Metric) -> Mapping[Values, Adds]:
        row = self._rows.get(metric)
        if row is None:
            counter = self._meter.create_counter(metric.name, metric.unit, metric.description)
            row = self._rows[metric] = _SdkRow(
                metric, lambda attributes: _Sum(counter, attributes, self._waiting)
            )
        return row

    def histograms(self, metric: Metric) -> Mapping[Values, Records]:
        row = self._rows.get(metric)
        if row is None:
            histogram = self._meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=metric.buckets,
            )
            row = self._rows[metric] = _SdkRow(
                metric, lambda attributes: _Recorder(histogram, attributes)
            )
        return row

    def settle(self) -> None:
        for each in self._waiting:
            each.settle()
        self._waiting.clear()


class _SdkRow(dict[Values, Any]):
    def __init__(self, metric: Metric, make: Callable[[dict[str, Any]], Any]) -> None:
        self._metric, self._make = metric, make

    def __missing__(self, values: Values) -> Any:
        made = self[values] = self._make(attributes_of(self._metric, values))
        return made


class _Sum:
    def __init__(
        self, counter: Counter, attributes: dict[str, Any], waiting: dict[_Sum, None]
    ) -> None:
        self._counter, self._attributes, self._waiting = counter, attributes, waiting
        self._amount: float = 0
        waiting[self] = None  # it begins at 0

    def add(self, amount: float = 1) -> None:
        self._amount += amount
        self._waiting[self] = None

    def settle(self) -> None:
        amount, self._amount = self._amount, 0
        self._counter.add(amount, self._attributes, _NO_TRACE)


class _Recorder:
    def __init__(self, histogram: Histogram, attributes: dict[str, Any]) -> None:
        self._histogram, self._attributes = histogram, attributes

    def record(self, value: float, trace: Trace | None = None) -> None:
        context = context_of(trace) if trace is not None and trace.sampled else _NO_TRACE
        self._histogram.record(value, self._attributes, context)


def values_of(metric: Metric, attributes: Keys) -> Values:
    """Return the values by which a series with these attributes is found."""
    for key in attributes:
        if key not in metric.keys:
            raise ValueError(f"{metric.name} has no key {key}")
    return tuple(attributes.get(key) for key in metric.keys)


def _expect(metric: Metric, *kinds: str) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.name} is a {metric.kind}")
