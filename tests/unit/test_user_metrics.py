"""Where the metrics go that tasks make, and when something is started for them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_celery.guard import Guard
from otel_celery.sdk import user_metrics
from otel_celery.sdk.inherited import flush_briefly
from otel_celery.sdk.user_metrics import (
    UserMeterProvider,
    build_user_meter_provider,
    provide_meter,
)

WHO = Resource({"service.instance.id": "w@h#0"})


def test_nothing_is_built_before_somebody_makes_a_metric() -> None:
    """Most tasks make none; a flush finds nothing to do then."""
    provider = UserMeterProvider(lambda: pytest.fail("built"))
    assert provider.force_flush()


def test_all_meters_are_of_one_provider() -> None:
    """It is built once, whoever comes first."""
    reader, built = InMemoryMetricReader(), []

    def build() -> MeterProvider:
        built.append(MeterProvider([reader], WHO, shutdown_on_exit=False))
        return built[0]

    provider = UserMeterProvider(build)
    for name in ("one", "two"):
        provider.get_meter(name, "1.0").create_counter("made").add(1)
    found = reader.get_metrics_data()
    assert found is not None
    (of_process,) = found.resource_metrics
    assert of_process.resource == WHO
    assert [by_scope.scope.name for by_scope in of_process.scope_metrics] == ["one", "two"]
    assert len(built) == 1


def test_an_exporter_that_counts_itself_does_not_build_a_second_one() -> None:
    """While it is made it may ask for a meter, and gets one that does nothing."""
    asked: list[Any] = []

    def build() -> MeterProvider:
        asked.append(provider.get_meter("opentelemetry-sdk"))
        return MeterProvider(shutdown_on_exit=False)

    provider = UserMeterProvider(build)
    provider.get_meter("proj")
    assert [type(meter) for meter in asked] == [NoOpMeter]


def test_a_provider_that_cannot_be_built_is_tried_again() -> None:
    """A task that asks meanwhile gets a meter that does nothing, and goes on."""
    results = [MeterProvider(shutdown_on_exit=False), None]
    provider = UserMeterProvider(results.pop)
    assert isinstance(provider.get_meter("proj"), NoOpMeter)
    assert not isinstance(provider.get_meter("proj"), NoOpMeter)


@pytest.mark.parametrize(
    ("variables", "intervals"),
    [
        pytest.param({"OTEL_METRICS_EXPORTER": "none"}, [], id="none"),
        pytest.param({"OTEL_METRICS_EXPORTER": "prometheus"}, [], id="pulled-by-nobody"),
        pytest.param({"OTEL_METRICS_EXPORTER": "console"}, [15_000.0], id="default"),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "500"},
            [500.0],
            id="interval",
        ),
        pytest.param({"OTEL_METRICS_EXPORTER": "console,none,console"}, None, id="unknown"),
    ],
)
def test_the_usual_variables_say_where_and_how_often(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], intervals: list[float] | None
) -> None:
    """As for the worker's own metrics, but that nobody pulls from a pool process."""
    made: list[float] = []

    def reader(exporter: Any, interval: float) -> Any:
        assert isinstance(exporter, ConsoleMetricExporter)
        made.append(interval)
        return PeriodicExportingMetricReader(exporter, float("inf"))

    monkeypatch.setattr(user_metrics, "PeriodicExportingMetricReader", reader)
    if intervals is None:
        with pytest.raises(ValueError, match="'none'"):
            build_user_meter_provider(WHO, variables)
        return
    build_user_meter_provider(WHO, variables)
    assert made == intervals


@pytest.mark.parametrize("set_before", [False, True], ids=["nobodys", "the-applications"])
def test_an_applications_own_provider_stays(
    monkeypatch: pytest.MonkeyPatch, set_before: bool
) -> None:
    """What nobody has set is a proxy."""
    chosen: list[Any] = []
    there = (
        MeterProvider(shutdown_on_exit=False)
        if set_before
        else metrics._internal._ProxyMeterProvider()
    )
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: there)
    monkeypatch.setattr(metrics, "set_meter_provider", chosen.append)
    provide_meter(lambda: WHO, Guard())
    assert [type(one) for one in chosen] == ([] if set_before else [UserMeterProvider])


def test_a_task_does_not_hear_of_what_we_cannot_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metrics go nowhere, and the fault is counted."""
    chosen: list[UserMeterProvider] = []
    monkeypatch.setattr(metrics, "get_meter_provider", metrics._internal._ProxyMeterProvider)
    monkeypatch.setattr(metrics, "set_meter_provider", chosen.append)
    monkeypatch.setattr(user_metrics, "build_user_meter_provider", lambda _: 1 / 0)
    guard = Guard()
    provide_meter(lambda: WHO, guard)
    assert isinstance(chosen[0].get_meter("proj"), NoOpMeter)
    assert guard.faults == {"user metrics": 1}


class _Slow(SpanProcessor):
    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.entered.set()
        return self.released.wait(30)


def test_a_silent_collector_holds_up_a_leaving_process_only_for_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spans and metrics together: the SDK does not keep to its own timeout."""
    slow, flushed = _Slow(), threading.Event()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(slow)
    meters = UserMeterProvider(lambda: MeterProvider(shutdown_on_exit=False))
    monkeypatch.setattr(meters, "force_flush", lambda *_: flushed.set())
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    began = time.monotonic()
    flush_briefly(0.05)
    assert time.monotonic() - began < 5
    assert slow.entered.wait(5)
    assert flushed.wait(5)
    slow.released.set()


def test_providers_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not the SDK's, such as a proxy, need not know how to flush."""
    monkeypatch.setattr(trace, "get_tracer_provider", object)
    monkeypatch.setattr(metrics, "get_meter_provider", object)
    before = threading.active_count()
    flush_briefly(0.05)
    assert threading.active_count() == before
