"""Where do spans and metrics go while a test runs?"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from opentelemetry import metrics, trace
from opentelemetry.environment_variables import OTEL_METRICS_EXPORTER, OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from otel_celery import bootstrap
from otel_celery.settings import Settings

_PAUSE = 0.005


class Point(NamedTuple):
    """The last value of one series."""

    name: str
    unit: str
    attributes: Mapping[str, Any]
    value: float
    """Of a histogram: the sum of what it was given."""
    times: int | None = None
    """Of a histogram: how often it was given something."""


class Spans(SpanProcessor):
    """Keeps ended spans while a test records, in the order in which they ended."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.ended is not None:
            self.ended.append(span)


class Points(MetricExporter):
    """Keeps the last point of each series, and adds up those that tell what is new."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._series: dict[Any, Point] = {}

    @property
    def last(self) -> list[Point]:
        return list(self._series.values())

    def clear(self) -> None:
        """Begin anew."""
        self._series.clear()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any
    ) -> MetricExportResult:
        for by_resource in metrics_data.resource_metrics:
            for by_scope in by_resource.scope_metrics:
                for metric in by_scope.metrics:
                    temporality = getattr(metric.data, "aggregation_temporality", None)
                    for point in metric.data.data_points:
                        new = temporality is AggregationTemporality.DELTA
                        since = 0 if new else point.start_time_unix_nano
                        self._keep((by_resource.resource, since), metric, point, new)
        return MetricExportResult.SUCCESS

    def _keep(self, who: tuple[Any, Any], metric: Metric, point: Any, new: bool) -> None:
        attributes = dict(point.attributes or {})
        key = (*who, metric.name, tuple(sorted(attributes.items())))
        histogram = hasattr(point, "count")
        value = point.sum if histogram else point.value
        times = point.count if histogram else None
        earlier = self._series.get(key)
        if new and earlier is not None:
            value += earlier.value
            times = None if times is None else times + (earlier.times or 0)
        self._series[key] = Point(metric.name, metric.unit or "", attributes, value, times)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to close."""


class UserPoints:
    """What metrics of the user's own have told since the test began."""

    def __init__(self) -> None:
        new = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
        self.points = Points(preferred_temporality=new)
        self._reader = PeriodicExportingMetricReader(self.points, export_interval_millis=math.inf)
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def collect(self) -> None:
        """Have all told that there is by now."""
        self._reader.collect()

    def clear(self) -> None:
        """Forget what was told before."""
        self.collect()
        self.points.clear()


class Telemetry:
    """What was told since the test began."""

    def __init__(
        self,
        spans: list[ReadableSpan],
        points: Points,
        users: UserPoints,
        instrumentation: bootstrap.Instrumentation,
    ) -> None:
        self._spans, self._points, self._users = spans, points, users
        self._instrumentation = instrumentation

    @property
    def spans(self) -> list[ReadableSpan]:
        """Finished spans, ours and the user's, of what has ended by now."""
        self.collect()
        return list(self._spans)

    @property
    def metrics(self) -> list[Point]:
        """The last point of each series, ours and the user's.

        The user's where the application has set no MeterProvider.
        """
        self.collect()
        return self._points.last + self._users.points.last

    def total(self, name: str, attributes: Mapping[str, Any] = {}) -> float:
        """Return the sum over the series of a metric that have these attributes.

        Of a histogram: how often it was given something.
        """
        return sum(
            point.value if point.times is None else point.times
            for point in self.metrics
            if point.name == name and attributes.items() <= point.attributes.items()
        )

    def collect(self, timeout: float = 5.0) -> None:
        """Have all told that happened by now; tasks that a worker runs may end first.

        A result can be asked for a moment before its worker knows that the task has ended.
        """
        deadline = time.monotonic() + timeout
        while self._instrumentation.deliveries.running and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        exporter = self._instrumentation.here.exporter
        if exporter is not None:
            exporter.speaker.speak()
            exporter.metering.collect(math.inf)
        self._users.collect()

    def wait_for(self, *names: str, timeout: float = 5.0) -> list[ReadableSpan]:
        """Return the spans when there is one of each of these names.

        For tasks whose result nobody asks for.

        Raises:
            AssertionError: after `timeout` seconds one is still missing.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self.spans
            missing = set(names) - {span.name for span in found}
            if not missing:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"after {timeout} s no span {sorted(missing)}; there are"
                    f" {sorted(span.name for span in found)}"
                )
            time.sleep(_PAUSE)


class Recorder:
    """Keeps what one test after the other tells.

    OpenTelemetry lets a process set its provider once: ours stays, and is silent between tests.
    An application's own one is listened to instead.
    """

    def __init__(self) -> None:
        self._taps: dict[TracerProvider, Spans] = {}
        self._users = UserPoints()

    @contextmanager
    def recording(self) -> Iterator[Telemetry]:
        """Switch on with everything in memory, and off at the end."""
        points, tap = Points(), self._tap()
        if hasattr(metrics.get_meter_provider(), "on_set_meter_provider"):  # nobody has set one
            metrics.set_meter_provider(self._users.provider)
        self._users.clear()
        spans = tap.ended = []
        on = bootstrap.Instrumentation(None, Settings.from_env(), [points], ())
        earlier = bootstrap.replace(on)
        try:
            yield Telemetry(spans, points, self._users, on)
        finally:
            bootstrap.replace(earlier)
            tap.ended = None

    def _tap(self) -> Spans:
        provider = trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):
            provider = TracerProvider(
                ParentBasedTraceIdRatio(1.0),
                Resource.create({"service.name": "test"}),
                shutdown_on_exit=False,
            )
            trace.set_tracer_provider(provider)
        if provider not in self._taps:
            self._taps[provider] = Spans()
            provider.add_span_processor(self._taps[provider])
        return self._taps[provider]


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no variable of the caller's shell send anything, or forbid everything."""
    monkeypatch.setenv(OTEL_TRACES_EXPORTER, "none")
    monkeypatch.setenv(OTEL_METRICS_EXPORTER, "none")
    monkeypatch.delenv(OTEL_SDK_DISABLED, raising=False)
    monkeypatch.delenv("SENTRY_DSN", raising=False)
