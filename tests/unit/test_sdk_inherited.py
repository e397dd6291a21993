"""What a pool process inherits of the application's providers is its own from then on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from otel_celery.sdk.inherited import renew_after_fork
from tests.unit.test_queues_inherited import held_elsewhere

URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def session() -> requests.Session:
    """Return a session that has sent something, so that it keeps a connection."""
    made = requests.Session()
    pool = pool_of(made)
    pool._put_conn(pool._get_conn())
    return made


def pool_of(session: requests.Session) -> Any:
    adapter: Any = session.get_adapter(URL)
    return adapter.poolmanager.connection_from_url(URL)


@pytest.mark.parametrize("processor", [BatchSpanProcessor, SimpleSpanProcessor])
def test_spans_leave_by_a_connection_of_the_process(
    monkeypatch: pytest.MonkeyPatch, session: requests.Session, processor: Any
) -> None:
    """The parent's is neither used nor closed, and its locks are not asked for."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor(OTLPSpanExporter(URL, session=session)))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    renewed_while_held(session)
    provider.shutdown()


def test_metrics_leave_by_a_connection_of_the_process(
    monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(URL, session=session), 1e9)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    renewed_while_held(session)
    provider.shutdown()


def renewed_while_held(session: requests.Session) -> None:
    pool, adapter = pool_of(session), session.get_adapter(URL)
    kept, closed = pool.pool.queue[-1], []
    kept.close = lambda: closed.append(True)
    renewing = threading.Thread(target=renew_after_fork, daemon=True)
    with held_elsewhere(adapter.poolmanager.pools.lock), held_elsewhere(pool.pool.mutex):  # type: ignore[attr-defined]
        renewing.start()
        renewing.join(10)
        assert not renewing.is_alive()
        assert pool_of(session) is pool
        assert pool._get_conn() is not kept
    assert closed == []


def test_sums_of_the_parent_are_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    counter = provider.get_meter("shop").create_counter("sold")
    counter.add(5)
    renew_after_fork()
    counter.add(1)
    found = reader.get_metrics_data()
    assert found is not None
    (point,) = found.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.value == 1
