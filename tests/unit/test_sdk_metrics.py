"""Metrics are read by whom the variables name, and only when somebody drives the readers."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import Counter, Histogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
)
from opentelemetry.sdk.resources import Resource

from otel_celery import sdk
from otel_celery.errors import ConfigError
from otel_celery.lanes.otlp_http import Answer, Verdict
from otel_celery.sdk import metrics
from otel_celery.sdk.driven import Driven
from tests.unit.stand_ins import KeepingMetrics

RESOURCE = Resource({"service.name": "shop"})


NO_EXPORTER = {"OTEL_METRICS_EXPORTER": "none"}


def test_readers_have_no_thread_and_are_driven():
    before = threading.active_count()
    exporter = KeepingMetrics()
    metering = sdk.build_meter_provider(RESOURCE, [exporter], NO_EXPORTER)
    metering.provider.get_meter("m").create_counter("c").add(2)
    metering.collect(float("inf"))
    assert threading.active_count() == before
    (data,) = exporter.exported
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.data.data_points[0].value) == ("c", 2)
    assert exporter.timeouts == [30_000]


def test_collection_ends_with_its_deadline():
    """And does not begin after it."""
    exporter = KeepingMetrics()
    reader = Driven(exporter)
    metering = sdk.Metering(RESOURCE, [reader], clock=lambda: 100.0)
    metering.provider.get_meter("m").create_counter("c").add(1)
    metering.collect(102.0)
    metering.collect(100.0)
    assert exporter.timeouts == [2_000]


@pytest.mark.parametrize(
    ("answer", "deadline", "again"),
    [
        pytest.param(Answer(Verdict.DELIVERED), math.inf, None, id="delivered"),
        pytest.param(Answer(Verdict.REFUSED, "HTTP 400"), 103.0, None, id="refused"),
        pytest.param(Answer(Verdict.AGAIN, "HTTP 503"), 103.0, 100.5, id="somebody-waits"),
        pytest.param(Answer(Verdict.AGAIN, "HTTP 503"), math.inf, 115.0, id="next-reading"),
        pytest.param(Answer(Verdict.AGAIN, "HTTP 429", 40.0), math.inf, 140.0, id="pause"),
    ],
)
def test_over_http_there_is_one_attempt(
    answer: Answer, deadline: float, again: float | None, caplog: pytest.LogCaptureFixture
):
    """The next reading has everything: nobody is held up by more of them."""
    bodies: list[bytes] = []

    def post(body: bytes, timeout: float) -> Answer:
        bodies.append(body)
        return answer

    reader = Driven(KeepingMetrics(), post, "http://c")
    metering = sdk.Metering(RESOURCE, [reader], clock=lambda: 100.0)
    metering.provider.get_meter("m").create_counter("c").add(1)
    assert metering.collect(deadline) == again
    metering.collect(deadline)
    assert [ExportMetricsServiceRequest.FromString(body).resource_metrics for body in bodies]
    assert len(bodies) == 2
    told = [f"Metrics do not get through to http://c: {answer.reason}."] if answer.reason else []
    assert caplog.messages == told


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, 15.0, id="default"),
        pytest.param({"OTEL_METRIC_EXPORT_INTERVAL": "2500"}, 2.5, id="given"),
    ],
)
def test_interval_is_a_quarter_of_a_minute_unless_set(
    variables: Mapping[str, str], expected: float
):
    given = {**NO_EXPORTER, **variables}
    assert sdk.build_meter_provider(RESOURCE, [KeepingMetrics()], given).interval == expected


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_unusable_interval_fails_at_start(text: str):
    with pytest.raises(ConfigError, match=r"OTEL_METRIC_EXPORT_INTERVAL=.*milliseconds above 0"):
        sdk.build_meter_provider(RESOURCE, (), {**NO_EXPORTER, "OTEL_METRIC_EXPORT_INTERVAL": text})


def test_without_an_exporter_nothing_is_collected():
    assert sdk.build_meter_provider(RESOURCE, (), NO_EXPORTER).interval == float("inf")


def test_reader_of_others_is_not_driven(monkeypatch: pytest.MonkeyPatch):
    """It is asked by its own user."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics, "load_exporter", lambda *_: lambda: reader)
    metering = sdk.build_meter_provider(RESOURCE, (), {"OTEL_METRICS_EXPORTER": "mine"})
    metering.provider.get_meter("m").create_counter("c").add(1)
    metering.collect(float("inf"))
    assert reader.get_metrics_data() is not None
    assert metering.interval == float("inf")


def test_otlp_variables_choose_temporality_and_aggregation(monkeypatch: pytest.MonkeyPatch):
    """As for the SDK's own providers; buckets of ours stand where nothing else is asked."""
    made: list[MetricExporter] = []
    initialise = Driven.__init__

    def keep(self: Driven, exporter: MetricExporter, *given: Any) -> None:
        made.append(exporter)
        initialise(self, exporter, *given)

    monkeypatch.setattr(Driven, "__init__", keep)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "base2_exponential_bucket_histogram",
    )
    sdk.build_meter_provider(RESOURCE).close()
    (exporter,) = made
    assert exporter._preferred_temporality[Counter] is AggregationTemporality.DELTA
    aggregation = type(exporter._preferred_aggregation[Histogram]).__name__
    assert aggregation == "ExponentialBucketHistogramAggregation"


def test_disabled_sdk_records_nothing():
    exporter = KeepingMetrics()
    metering = sdk.build_meter_provider(RESOURCE, [exporter], {"OTEL_SDK_DISABLED": "true"})
    metering.collect(float("inf"))
    assert exporter.exported == []


@pytest.mark.parametrize("text", ["many", "-1", "70000", "9464.5"])
def test_unusable_port_fails_at_start(text: str):
    chosen = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": text}
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_PROMETHEUS_PORT=.*port number"):
        sdk.build_meter_provider(RESOURCE, (), chosen)


def test_all_unusable_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch):
    """Before anything is made of them, so that the start fails and not the first task."""
    variables = {
        "OTEL_TRACES_EXPORTER": "pigeon",
        "OTEL_METRIC_EXPORT_INTERVAL": "soon",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "high",
    }
    with pytest.raises(ConfigError) as fault:
        sdk.check_environment(variables)
    assert str(fault.value) == (
        "OTEL_TRACES_EXPORTER='pigeon': expected otlp, console, none"
        " or the name of an installed exporter; OTEL_METRIC_EXPORT_INTERVAL='soon':"
        " expected a number of milliseconds above 0"
    )
    del variables["OTEL_TRACES_EXPORTER"], variables["OTEL_METRIC_EXPORT_INTERVAL"]
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_PROMETHEUS_PORT='high': expected a port"):
        sdk.check_environment(variables)


@pytest.mark.parametrize("text", ["authorization: Bearer t0ken", "a=b,t0ken", "a=b c,t0k en=x"])
def test_headers_that_cannot_be_read_fail_at_start_and_are_not_shown(
    caplog: pytest.LogCaptureFixture, text: str
):
    """The SDK would send none of them, and log what it could not read."""
    with pytest.raises(ConfigError) as fault:
        sdk.check_environment({"OTEL_EXPORTER_OTLP_METRICS_HEADERS": text})
    assert str(fault.value) == (
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS: expected name=value, URL encoded, several by commas"
    )
    sdk.check_environment({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer t0ken, a=b%20c"})
    assert caplog.records == []


def test_prometheus_is_served_by_workers_alone():
    """A web process with the same variables would take the port of its worker."""
    variables = {"OTEL_METRICS_EXPORTER": "prometheus"}
    assert sdk.build_meter_provider(RESOURCE, (), variables, serve=False).interval == float("inf")
