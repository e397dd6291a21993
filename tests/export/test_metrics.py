"""Metrics reach an OTLP receiver and a Prometheus that asks, from a provider without threads."""

from __future__ import annotations

import math
import queue
import socket
import threading

import pytest
import requests
from opentelemetry.sdk.resources import Resource

from otel_celery import conventions as c
from otel_celery.errors import ConfigError
from otel_celery.sdk import Metering, build_meter_provider
from tests.receiver import Receiver
from tests.unit.stand_ins import LANES, OWN

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


def served(port: int) -> Metering:
    """Return metrics that are served on a port."""
    return build_meter_provider(
        RESOURCE,
        (),
        {
            "OTEL_METRICS_EXPORTER": "prometheus",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        },
    )


def test_prometheus_is_served_from_a_registry_of_its_own():
    """On the host and port of the variables, and no more once it is closed."""
    port = free_port()
    metering = served(port)
    metering.provider.get_meter("m").create_counter("jobs").add(3)
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'jobs_total{otel_scope_name="m"' in page
        assert "python_info" not in page  # of the default registry, which the application may serve
        metering.close()
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://127.0.0.1:{port}/metrics", timeout=10)


@pytest.mark.newest_sdk
def test_a_page_is_the_same_by_both_lanes():
    """Whoever asks cannot tell who has summed; and asks twice of sums that go on."""
    pages: list[list[list[str]]] = []
    for lane in LANES:
        port = free_port()
        metering = served(port)
        assert metering.cells is not None
        if lane == "reference":
            metering.cells = None
        instruments = metering.instruments()
        instruments.observe(c.BACKLOG, lambda: [(7, {})])
        pages.append([])
        for seconds in (0.25, 4.0):
            instruments.add(c.OUTCOMES, 2, {c.TASK_NAME: "pay", c.TASK_EXPECTED: True})
            instruments.record(c.QUEUE_WAIT, seconds, {c.QUEUE: "mail"}, OWN)
            with requests.Session() as session:
                session.trust_env = False
                page = session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            pages[-1].append(sorted(page.splitlines()))
        metering.close()
    assert pages[0] == pages[1]
    assert any(line.startswith("celery_task_outcomes_total{") for line in pages[0][0])


def test_a_page_does_not_fall_between_two_halves_of_a_fact():
    """It waits for whoever tells one."""
    port = free_port()
    metering = served(port)
    instruments = metering.instruments()
    pages: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            pages.put(session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text)

    instruments.observe(c.BACKLOG, lambda: [(7, {})])
    asking = threading.Thread(target=ask)
    with instruments.lock:
        instruments.counters(c.OVERFLOWS)[()].add()
        asking.start()
        asking.join(0.2)
        assert pages.empty()
        instruments.counters(c.RELAY_DROPPED)[()].add()
    page = pages.get(timeout=10)
    asking.join()
    metering.close()
    for row in (c.OVERFLOWS, c.RELAY_DROPPED):
        assert row.name.replace(".", "_") in page


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
