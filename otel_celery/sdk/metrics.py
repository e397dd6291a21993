"""Who reads the metrics of this process, and when?"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.environment_variables import (
    OTEL_METRIC_EXPORT_INTERVAL,
    OTEL_METRIC_EXPORT_TIMEOUT,
    OTEL_METRICS_EXEMPLAR_FILTER,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
from opentelemetry.sdk.resources import Resource

from otel_celery import __version__
from otel_celery import conventions as c
from otel_celery.cells import Cells
from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.metrics import Instruments
from otel_celery.sdk.driven import Driven
from otel_celery.sdk.environment import (
    LOGS,
    METRICS,
    OTLP_HTTP,
    TRACES,
    build_sampler,
    check_headers,
    exporter_names,
    load_exporter,
    sdk_disabled,
    span_limits,
)
from otel_celery.sdk.points import CellPoints
from otel_celery.sdk.prometheus import prometheus_port, serve_prometheus

DEFAULT_INTERVAL_MS, DEFAULT_TIMEOUT_MS = 15_000.0, 30_000.0


class Metering:
    """A private MeterProvider and the readers that somebody has to drive.

    No reader has a thread or a fork hook of its own: `collect` is a job of the courier.

    Args:
        resource: of the process.
        pushed: readers that export when they collect.
        pulled: readers that somebody else asks, as Prometheus.
        interval: seconds between two collections.
        timeout: seconds for one, where nobody waits for it.
        closers: what else to close, such as an HTTP server.
        gate: held while metrics are written and while they are read, not while they are exported.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        resource: Resource,
        pushed: Sequence[Driven],
        pulled: Sequence[MetricReader] = (),
        interval: float = DEFAULT_INTERVAL_MS / 1000,
        timeout: float = DEFAULT_TIMEOUT_MS / 1000,
        closers: Sequence[Callable[[], object]] = (),
        gate: threading.Lock | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        readers = [*pushed, *pulled]
        self.provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        self.cells = _cells_for(readers, resource)
        self.interval = interval if pushed else math.inf
        self.gate = gate or threading.Lock()
        self.pushed = pushed
        self._timeout = timeout
        self._closers = closers
        self._clock = clock

    def instruments(self) -> Instruments:
        """Return those of this process, by whichever lane its readers allow."""
        meter = self.provider.get_meter(c.SCOPE, __version__, c.SCHEMA_URL)
        return Instruments(meter, self.cells, self.gate)

    def collect(self, deadline: float) -> float | None:
        """Read all instruments and export, once for each pushed reader; for the courier."""
        with self.gate:
            for reader in self.pushed:
                reader.read()
        again = None
        for reader in self.pushed:
            left = min(self._timeout, deadline - self._clock())
            if left > 0:
                again = max(again or 0.0, reader.export(left) or 0.0) or None
        if again is None:
            return None
        return self._clock() + (again if deadline < math.inf else max(again, self.interval))

    def close(self) -> None:
        """Stop serving; what was not collected is not sent any more."""
        for close in self._closers:
            close()


def _cells_for(readers: Sequence[Any], resource: Resource) -> Cells | None:
    """Return cells, and tell the readers of them; None where one needs the SDK's own sums.

    All of them then: what is counted twice would cost more than the slower lane. An exemplar for
    each value, be it of a trace or not, is the SDK's, too.
    """
    exemplars = os.environ.get(OTEL_METRICS_EXEMPLAR_FILTER, "trace_based")
    takers = [reader for reader in readers if getattr(reader, "takes_cells", False)]
    if exemplars == "always_on" or len(takers) < len(readers):
        return None
    cells = Cells()
    for reader in takers:
        reader.points = CellPoints(cells, resource, exemplars == "trace_based")
    return cells


def build_meter_provider(
    resource: Resource,
    exporters: Sequence[MetricExporter] = (),
    environ: Mapping[str, str] = os.environ,
    *,
    serve: bool = True,
) -> Metering:
    """Return the private provider that OTEL_METRICS_EXPORTER asks for.

    Histogram aggregation and temporality are those that the exporters read from their variables.

    Args:
        resource: of the process.
        exporters: further ones, from code.
        environ: variables.
        serve: whether this process may open Prometheus' port, which only one of a host can.

    Raises:
        ConfigError: a variable with an unusable value.
        MissingExtra: an exporter that is not installed.
    """
    pushed = [Driven(exporter) for exporter in exporters]
    pulled: list[MetricReader] = []
    closers: list[Callable[[], object]] = []
    gate = threading.Lock()
    if sdk_disabled(environ):
        return Metering(resource, ())
    interval = export_interval(environ)
    timeout = _milliseconds(environ, OTEL_METRIC_EXPORT_TIMEOUT, DEFAULT_TIMEOUT_MS)
    for name in exporter_names(METRICS, environ):
        if name == "prometheus":
            if not serve:
                continue
            reader, close = serve_prometheus(environ, gate)
            pulled.append(reader)
            closers.append(close)
            continue
        make = load_exporter(METRICS, name)
        if name == OTLP_HTTP:
            pushed.append(Driven.over_http(make))
            continue
        made = make()
        if isinstance(made, MetricReader):
            pulled.append(made)
        else:
            pushed.append(Driven(made))
    return Metering(resource, pushed, pulled, interval, timeout, closers, gate)


def export_interval(environ: Mapping[str, str] = os.environ) -> float:
    """Return the seconds between two exports.

    Raises:
        ConfigError: OTEL_METRIC_EXPORT_INTERVAL is unusable.
    """
    return _milliseconds(environ, OTEL_METRIC_EXPORT_INTERVAL, DEFAULT_INTERVAL_MS)


def _milliseconds(environ: Mapping[str, str], variable: str, default: float) -> float:
    """Return a variable's milliseconds as seconds."""
    text = environ.get(variable, "").strip()
    try:
        milliseconds = float(text) if text else default
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < math.inf:
        raise ConfigError(f"{variable}={text!r}: expected a number of milliseconds above 0")
    return milliseconds / 1000


def check_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Import what the variables ask for, and try them, without making any of it.

    Raises:
        ConfigError: all unusable variables in one message.
    """
    faults = []
    checks = (_check_exporters, check_headers, export_interval, build_sampler)
    for check in (*checks, lambda _: span_limits()):
        try:
            check(environ)
        except (ConfigError, MissingExtra) as why:
            faults.append(str(why))
    if faults:
        raise ConfigError("; ".join(faults))


def _check_exporters(environ: Mapping[str, str]) -> None:
    for signal in (TRACES, METRICS, LOGS):
        for name in exporter_names(signal, environ):
            if name == "prometheus" and signal == METRICS:
                prometheus_port(environ)
            load_exporter(signal, name)  # now: a child forked while a thread imports may hang
