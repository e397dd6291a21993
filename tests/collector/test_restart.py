"""A Collector may be killed at any moment: what was accepted and decided arrives all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.collector.collectors import Collector, process, publish
from tests.receiver import Answer, Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.stack

COUNT = 100


def kept(collector: Collector) -> float:
    return sum(
        value
        for name, value in collector.scraped("OTELCOL_TELEMETRY_PORT").items()
        if name.startswith("otelcol_processor_tail_sampling_global_count_traces_sampled_total")
        and 'sampled="true"' in name
    )


def test_what_waited_for_the_backend_survives_a_kill(
    otelcol: Path, tmp_path: Path, backend: Receiver
):
    """The backend refuses everything, the Collector is killed, then both are well."""
    backend.answers.extend([Answer(status=503)] * 10_000)
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url})
    wanted = set()
    with collector.running() as running:
        for _ in range(COUNT):
            sent = publish()
            ran = process(parent=sent, error="boom", celery__task__state="failure")
            collector.send(sent, service="shop-web")
            collector.send(ran)
            wanted |= {sent.span_id, ran.span_id}
        eventually(lambda: kept(collector) == COUNT, 30)
        eventually(lambda: backend.received, 30)
        running.kill()
        running.wait(10)
    backend.answers.clear()
    backend.received.clear()
    with collector.running():
        eventually(lambda: {span.span_id for span in backend.spans} == wanted, 60)


def test_a_stop_forgets_nothing_that_was_kept(otelcol: Path, tmp_path: Path, backend: Receiver):
    """What could not be sent any more goes out after the next start."""
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url})
    spans = [process() for _ in range(COUNT)]
    wanted = {span.span_id for span in spans}
    with collector.running() as running:
        collector.send(*spans)
        running.terminate()
        assert running.wait(20) == 0
    with collector.running():
        eventually(lambda: {span.span_id for span in backend.spans} == wanted, 30)


def test_counters_go_on_after_a_kill(otelcol: Path, tmp_path: Path, backend: Receiver):
    """They are cumulative in the sender, which tries again: a gap, no reset, nothing missing."""
    collector = Collector(otelcol, tmp_path, environ={"TRACES_ENDPOINT": backend.url})
    exporter = OTLPMetricExporter(f"{collector.otlp}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, 300)
    resource = Resource({"service.name": "shop", "service.instance.id": "w1"})
    provider = MeterProvider([reader], resource=resource)
    counter = provider.get_meter("test").create_counter("celery.task.outcomes", "{task}")
    name = 'celery_task_outcomes_total{instance="w1",job="shop"}'
    try:
        with collector.running() as running:
            counter.add(20)
            eventually(lambda: collector.scraped().get(name) == 20, 30)
            running.kill()
            running.wait(10)
        counter.add(22)
        with collector.running():
            eventually(lambda: collector.scraped().get(name) == 42, 60)
    finally:
        provider.shutdown()
