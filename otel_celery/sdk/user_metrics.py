"""Where do metrics go that tasks make, where the application has set no MeterProvider?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from opentelemetry import metrics
from opentelemetry.metrics import Meter, NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import Attributes

from otel_celery.guard import Guard
from otel_celery.sdk.environment import METRICS, exporter_names, load_exporter
from otel_celery.sdk.metrics import export_interval


class UserMeterProvider(metrics.MeterProvider):
    """The SDK's provider, built at the first `get_meter`: most tasks make no metrics.

    Args:
        build: makes it, with its readers and their threads; None where that failed.
    """

    def __init__(self, build: Callable[[], MeterProvider | None]) -> None:
        self._build = build
        self._lock = threading.RLock()
        self._building = False
        self._built: MeterProvider | None = None

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> Meter:
        with self._lock:
            if self._built is None and not self._building:  # an exporter would count itself
                self._building = True
                try:
                    self._built = self._build()
                finally:
                    self._building = False
            if self._built is None:
                return NoOpMeter(name, version, schema_url)
            return self._built.get_meter(name, version, schema_url, attributes)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Export what there is by now."""
        return self._built is None or self._built.force_flush(timeout_millis)


def build_user_meter_provider(
    resource: Resource, environ: Mapping[str, str] = os.environ
) -> MeterProvider:
    """Return a provider that exports as OTEL_METRICS_EXPORTER asks, by threads of its own.

    Not to Prometheus: it cannot ask each pool process.

    Raises:
        ConfigError: a variable with an unusable value.
        MissingExtra: an exporter that is not installed.
    """
    readers: list[MetricReader] = []
    for name in exporter_names(METRICS, environ):
        if name != "prometheus":
            made = load_exporter(METRICS, name)()
            if not isinstance(made, MetricReader):
                made = PeriodicExportingMetricReader(made, export_interval(environ) * 1000)
            readers.append(made)
    return MeterProvider(readers, resource, shutdown_on_exit=False)


def provide_meter(build_resource: Callable[[], Resource], guard: Guard) -> None:
    """Give the metrics that tasks make a way out, unless the application has one of its own."""
    build = guard("user metrics", lambda: build_user_meter_provider(build_resource()))
    # What is proxied is what nobody has set; the API has no other word for it.
    if hasattr(metrics.get_meter_provider(), "on_set_meter_provider"):
        metrics.set_meter_provider(UserMeterProvider(build))
