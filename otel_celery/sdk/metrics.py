"""Who reads the metrics of this process, and when?"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_PROMETHEUS_HOST,
    OTEL_EXPORTER_PROMETHEUS_PORT,
    OTEL_METRIC_EXPORT_INTERVAL,
    OTEL_METRIC_EXPORT_TIMEOUT,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricReader,
)
from opentelemetry.sdk.resources import Resource

from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.lanes.inherited import renew_connections
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
        clock: monotonic seconds.
    """

    def __init__(
        self,
        resource: Resource,
        pushed: Sequence[MetricReader],
        pulled: Sequence[MetricReader] = (),
        interval: float = DEFAULT_INTERVAL_MS / 1000,
        timeout: float = DEFAULT_TIMEOUT_MS / 1000,
        closers: Sequence[Callable[[], object]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = MeterProvider([*pushed, *pulled], resource, shutdown_on_exit=False)
        self.interval = interval if pushed else math.inf
        self.gate: AbstractContextManager[object] = nullcontext()
        """Held while instruments are read, not while exporting; set by their owner."""
        self._pushed = pushed
        self._timeout = timeout
        self._closers = closers
        self._clock = clock

    def collect(self, deadline: float) -> float | None:
        """Read all instruments and export, once for each pushed reader; for the courier."""
        with self.gate:
            for reader in self._pushed:
                reader.collect()
        again = None
        for reader in self._pushed:
            left = min(self._timeout, deadline - self._clock())
            if left > 0 and isinstance(reader, Driven):
                again = max(again or 0.0, reader.export(left) or 0.0) or None
        if again is None:
            return None
        return self._clock() + (again if deadline < math.inf else max(again, self.interval))

    def let_go(self) -> None:
        """In a fork: see `renew_connections`."""
        for reader in self._pushed:
            renew_connections(reader)

    def close(self) -> None:
        """Stop serving; what was not collected is not sent any more."""
        for close in self._closers:
            close()


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
    pushed: list[MetricReader] = [Driven(exporter) for exporter in exporters]
    pulled: list[MetricReader] = []
    closers: list[Callable[[], object]] = []
    if sdk_disabled(environ):
        return Metering(resource, ())
    interval = export_interval(environ)
    timeout = _milliseconds(environ, OTEL_METRIC_EXPORT_TIMEOUT, DEFAULT_TIMEOUT_MS)
    for name in exporter_names(METRICS, environ):
        if name == "prometheus":
            if not serve:
                continue
            reader, close = _serve_prometheus(environ)
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
    return Metering(resource, pushed, pulled, interval, timeout, closers)


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
                _prometheus_port(environ)
            load_exporter(signal, name)  # now: a child forked while a thread imports may hang


def _prometheus_port(environ: Mapping[str, str]) -> int:
    text = environ.get(OTEL_EXPORTER_PROMETHEUS_PORT, "").strip() or "9464"
    if not (text.isdecimal() and int(text) < 1 << 16):
        raise ConfigError(f"{OTEL_EXPORTER_PROMETHEUS_PORT}={text!r}: expected a port number")
    return int(text)


def _serve_prometheus(environ: Mapping[str, str]) -> tuple[MetricReader, Callable[[], object]]:
    """Serve a registry of our own: the application's default one may be served elsewhere."""
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as why:
        raise MissingExtra(
            "OTEL_METRICS_EXPORTER asks for 'prometheus': pip install 'otel-celery[prometheus]'"
        ) from why
    host = environ.get(OTEL_EXPORTER_PROMETHEUS_HOST, "").strip() or "localhost"
    port = _prometheus_port(environ)
    registry = CollectorRegistry(auto_describe=False)
    reader = PrometheusMetricReader(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as why:
        raise ConfigError(
            f"{OTEL_EXPORTER_PROMETHEUS_HOST}={host!r}, {OTEL_EXPORTER_PROMETHEUS_PORT}={port}:"
            f" {why.strerror or why}; each worker of a host needs a port of its own"
        ) from why

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join(1.0)

    return reader, close
