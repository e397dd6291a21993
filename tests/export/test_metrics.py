"""Metrics reach an OTLP receiver and a Prometheus that asks, from a provider without threads."""

from __future__ import annotations

import math
import socket

import pytest
import requests
from opentelemetry.sdk.resources import Resource

from otel_celery.errors import ConfigError
from otel_celery.sdk import build_meter_provider
from tests.receiver import Receiver

RESOURCE = Resource({"service.name": "shop"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("aggregation", "kind"),
    [
        pytest.param("", "histogram", id="our-buckets"),
        pytest.param("base2_exponential_bucket_histogram", "exponential_histogram", id="native"),
    ],
)
def test_histograms_arrive_as_the_variable_asks(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, aggregation: str, kind: str
):
    """Advised buckets are kept unless native histograms are asked for."""
    if aggregation:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation)
    metering = build_meter_provider(RESOURCE)
    meter = metering.provider.get_meter("m")
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[0.1, 3600]).record(7)
    metering.collect(math.inf)
    (request,) = receiver.metrics
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    assert metric.WhichOneof("data") == kind
    if kind == "histogram":
        assert list(metric.histogram.data_points[0].explicit_bounds) == [0.1, 3600]


def test_prometheus_is_served_from_a_registry_of_its_own():
    """On the host and port of the variables, and no more once it is closed."""
    port = free_port()
    metering = build_meter_provider(
        RESOURCE,
        (),
        {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        },
    )
    metering.provider.get_meter("m").create_counter("jobs").add(3)
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'jobs_total{otel_scope_name="m"' in page
        assert "python_info" not in page  # of the default registry, which the application may serve
        metering.close()
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_taken_port_fails_at_start_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(taken.getsockname()[1]),
        }
        with pytest.raises(ConfigError, match="each worker of a host needs a port of its own"):
            build_meter_provider(RESOURCE, (), chosen)
