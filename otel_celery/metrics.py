"""How does a number become a point of a metric in the catalogue?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias, overload

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

from otel_celery.conventions import OTHER, Metric

Keys: TypeAlias = "Mapping[str, str | bool | int | float | None]"
Point: TypeAlias = "tuple[float, Keys]"
Callback: TypeAlias = "Callable[[], Iterable[Point]]"

_MAX_NAME = 255  # what AMQP allows a queue; result backends allow task names no more


class Instruments:
    """The instruments of the catalogue, each made when it is first used.

    Every method takes a row of the catalogue and raises ValueError for a key that the row does not
    have: that is a mistake in our code, which the first test to pass there finds. A key whose value
    is None is left out.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._callbacks: dict[str, list[Callback]] = {}

    def add(
        self, metric: Metric, amount: float, attributes: Keys, context: Context | None = None
    ) -> None:
        """Count; `context` gives the exemplar its trace."""
        counter = self._counters.get(metric.name)
        if counter is None:
            _expect(metric, "counter")
            counter = self._counters[metric.name] = self._meter.create_counter(
                metric.name, metric.unit, metric.description
            )
        counter.add(amount, _allowed(metric, attributes), context)

    def zero(self, metric: Metric, attributes: Keys) -> None:
        """Begin a series at 0, so that `increase()` sees its first step."""
        self.add(metric, 0, attributes)

    def record(
        self, metric: Metric, value: float, attributes: Keys, context: Context | None = None
    ) -> None:
        """Put a value into a histogram; `context` gives the exemplar its trace."""
        histogram = self._histograms.get(metric.name)
        if histogram is None:
            _expect(metric, "histogram")
            histogram = self._histograms[metric.name] = self._meter.create_histogram(
                metric.name,
                metric.unit,
                metric.description,
                explicit_bucket_boundaries_advisory=metric.buckets,
            )
        histogram.record(value, _allowed(metric, attributes), context)

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
                    yield Observation(value, _allowed(metric, attributes))

        create(metric.name, [ask], metric.unit, metric.description)


class Bounds:
    """Keeps the number of series finite: so many names, and all further ones are `_OTHER`.

    First come, first kept, for as long as the process lives; so a series never changes its meaning.
    Names come from messages: they are cut, and made valid UTF-8, because one string that is not
    spoils an exporter's whole batch.

    Args:
        overflowed: called for each name that had to become `_OTHER`.
        tasks: most task names.
        queues: most queue names.
        errors: most error types of one task.
    """

    def __init__(
        self,
        overflowed: Callable[[], object],
        *,
        tasks: int = 200,
        queues: int = 50,
        errors: int = 30,
    ) -> None:
        self._overflowed = overflowed
        self._limits = tasks, queues, errors
        self._tasks: dict[str, str] = {OTHER: OTHER}
        self._queues: dict[str, str] = {OTHER: OTHER}
        self._errors: dict[str, dict[str, str]] = {}

    def task(self, name: str) -> str:
        """Return a task's name, or `_OTHER`."""
        return self._tasks.get(name) or self._admit(self._tasks, name, self._limits[0])

    def queue(self, name: str) -> str:
        """Return a queue's name, or `_OTHER`."""
        return self._queues.get(name) or self._admit(self._queues, name, self._limits[1])

    @overload
    def error(self, task: str, name: str) -> str: ...
    @overload
    def error(self, task: str, name: None) -> None: ...
    @overload
    def error(self, task: str, name: str | None) -> str | None: ...
    def error(self, task: str, name: str | None) -> str | None:
        """Return the error type of a task, or `_OTHER`; None stays None.

        All tasks that are themselves `_OTHER` share one set.
        """
        if name is None:
            return None
        kept = self._errors.get(self._tasks.get(task, OTHER))
        if kept is None:
            kept = self._errors[self._tasks.get(task, OTHER)] = {OTHER: OTHER}
        return kept.get(name) or self._admit(kept, name, self._limits[2])

    def _admit(self, kept: dict[str, str], name: str, limit: int) -> str:
        if len(kept) > limit:  # `_OTHER` is in it and takes no place
            self._overflowed()
            return OTHER
        clean = name[:_MAX_NAME].encode("utf-8", "replace").decode()
        kept[name] = clean or OTHER
        return kept[name]


def _allowed(metric: Metric, attributes: Keys) -> dict[str, str | bool | int | float]:
    for key in attributes:
        if key not in metric.keys:
            raise ValueError(f"{metric.name} has no key {key}")
    return {key: value for key, value in attributes.items() if value is not None}


def _expect(metric: Metric, *kinds: str) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.name} is a {metric.kind}")
