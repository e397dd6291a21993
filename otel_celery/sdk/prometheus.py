"""How does a Prometheus that asks get the metrics of this process?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_PROMETHEUS_HOST,
    OTEL_EXPORTER_PROMETHEUS_PORT,
)
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from otel_celery.errors import ConfigError, MissingExtra
from otel_celery.sdk.points import CellPoints


def prometheus_port(environ: Mapping[str, str]) -> int:
    """Return the port to serve on.

    Raises:
        ConfigError: OTEL_EXPORTER_PROMETHEUS_PORT is unusable.
    """
    text = environ.get(OTEL_EXPORTER_PROMETHEUS_PORT, "").strip() or "9464"
    if not (text.isdecimal() and int(text) < 1 << 16):
        raise ConfigError(f"{OTEL_EXPORTER_PROMETHEUS_PORT}={text!r}: expected a port number")
    return int(text)


def serve_prometheus(
    environ: Mapping[str, str], gate: AbstractContextManager[object]
) -> tuple[MetricReader, Callable[[], object]]:
    """Serve a registry of our own: the application's default one may be served elsewhere.

    Args:
        environ: variables.
        gate: held while a page is read: the server has threads of its own.

    Returns:
        The reader behind the page, and what closes the server.

    Raises:
        ConfigError: a port that cannot be had.
        MissingExtra: the exporter is not installed.
    """
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as why:
        raise MissingExtra(
            "OTEL_METRICS_EXPORTER asks for 'prometheus': pip install 'otel-celery[prometheus]'"
        ) from why

    class Scraped(PrometheusMetricReader):
        """The SDK's, which is told of cells, too."""

        takes_cells = True
        points: CellPoints | None = None

        def _receive_metrics(
            self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
        ) -> None:
            if self.points is not None:
                metrics_data = self.points.added_to(metrics_data) or metrics_data
            super()._receive_metrics(metrics_data, timeout_millis, **kwargs)

    class Page:
        """What is served: one reading, which does not fall between two halves of a fact."""

        def collect(self) -> list[Any]:
            with gate:
                return list(behind.collect())

    host = environ.get(OTEL_EXPORTER_PROMETHEUS_HOST, "").strip() or "localhost"
    port = prometheus_port(environ)
    served, behind = CollectorRegistry(auto_describe=False), CollectorRegistry(auto_describe=False)
    reader = Scraped(registry=behind)
    served.register(Page())
    try:
        server, thread = start_http_server(port, host, served)
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
