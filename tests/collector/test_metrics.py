"""What Prometheus finds at the Collector: the names of the catalogue, of who still lives."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from collector.catalogue.names import label, series
from otel_celery import conventions as c
from tests.collector.collectors import Collector, attributes, process, publish
from tests.waiting import eventually

pytestmark = pytest.mark.stack

WORKER = Path(__file__).with_name("memory_worker.py")
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
OWN = ("celery_", "messaging_", "otel_celery_")


def gauge(name: str, value: int, unit: str, instance: str = "w1") -> ExportMetricsServiceRequest:
    """Return what a process says about a gauge now."""
    request = ExportMetricsServiceRequest()
    by_resource = request.resource_metrics.add()
    resource = {"service.name": "shop", "service.instance.id": instance}
    by_resource.resource.attributes.extend(attributes(resource))
    metric = by_resource.scope_metrics.add().metrics.add(name=name, unit=unit)
    metric.gauge.data_points.add(as_int=value, time_unix_nano=time.time_ns())
    return request


def test_series_of_a_real_worker_have_the_names_of_the_catalogue(otelcol: Path, tmp_path: Path):
    collector = Collector(otelcol, tmp_path, ["laptop"])
    environ = {
        **collector.variables(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_SERVICE_NAME": "shop",
    }
    with collector.running():
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, WORKER], env=environ, cwd=tmp_path, stdout=log, stderr=log
            )
        try:

            def exported() -> dict[str, set[str]]:
                found = families(collector)
                assert series(c.OUTCOMES) in found, (tmp_path / "worker.log").read_text()[-2000:]
                assert series(c.QUEUE_WAIT) in found
                assert series(c.BROKER_CONNECTED) in found
                return found

            found = eventually(exported, 60)
        finally:
            worker.terminate()
            worker.wait(20)
    known = {series(metric) for metric in c.METRICS}
    assert set(found) - known == set()
    must = (c.SENT_MESSAGES, c.CONSUMED_MESSAGES, c.PROCESS_DURATION, c.WORKER_HEARTBEAT)
    assert {series(metric) for metric in must} <= set(found)
    assert label(c.TASK_NAME) in found[series(c.OUTCOMES)]
    assert label(c.TASK_STATE) in found[series(c.OUTCOMES)]
    assert {"job", "instance"} <= found[series(c.BROKER_CONNECTED)]


def families(collector: Collector) -> dict[str, set[str]]:
    """Return the names of our metrics on the page, each with its labels."""
    found: dict[str, set[str]] = {}
    for name in collector.scraped():
        if name.startswith(OWN):
            family = re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0])
            if family not in {series(metric) for metric in c.METRICS}:
                family = name.partition("{")[0]
            found.setdefault(family, set()).update(re.findall(r'(\w+)="', name))
    return found


def test_gauges_of_a_worker_that_is_gone_go_and_those_of_spans_stay(otelcol: Path, tmp_path: Path):
    collector = Collector(otelcol, tmp_path, ["laptop"], {"METRICS_EXPIRY": "2s"})
    dead, alive = (f'celery_queue_depth{{instance="{name}",job="shop"}}' for name in ("w1", "w2"))
    calls = "traces_span_metrics_calls_total"
    with collector.running():
        collector.send(process())
        collector.post("metrics", gauge("celery.queue.depth", 7, "{message}", "w1"))

        def both() -> bool:
            collector.post("metrics", gauge("celery.queue.depth", 7, "{message}", "w2"))
            return dead in collector.scraped()

        eventually(both, 30)

        def only_the_living() -> bool:
            collector.post("metrics", gauge("celery.queue.depth", 7, "{message}", "w2"))
            found = collector.scraped()
            return dead not in found and alive in found

        eventually(only_the_living, 30)
        assert any(name.startswith(calls) for name in collector.scraped())


def test_a_gauge_without_a_unit_is_no_ratio(otelcol: Path, tmp_path: Path):
    collector = Collector(otelcol, tmp_path, ["laptop"])
    with collector.running():
        collector.post("metrics", gauge(c.BROKER_CONNECTED.name, 1, "1"))
        collector.post("metrics", gauge("of.the.user", 1, "%"))
        wanted = {"celery_worker_broker_connected", "of_the_user_percent", "target_info"}
        eventually(lambda: {name.partition("{")[0] for name in collector.scraped()} == wanted, 30)


def test_spans_are_counted_for_the_service_with_an_exemplar(otelcol: Path, tmp_path: Path):
    """Not for the process: one that lives for a second would leave its series for days."""
    collector = Collector(otelcol, tmp_path, ["laptop"])
    page = f"http://127.0.0.1:{collector.environ['OTELCOL_METRICS_PORT']}/metrics"
    with collector.running():
        spans = [process(celery__task__state="success") for _ in range(3)]
        for number, span in enumerate(spans):
            collector.send(span, **{"service.instance.id": f"w{number}", "host.name": "h"})
        seen = set()

        def counted() -> None:
            text = collector.session.get(page, headers=OPENMETRICS, timeout=5).text
            seen.update(re.findall(r'trace_id="(\w+)"', text))
            calls = [line for line in text.splitlines() if "metrics_calls_total{" in line]
            assert [line.split("}")[1].split()[0] for line in calls] == ["3.0"]
            assert 'job="shop-worker"' in calls[0]
            assert "instance" not in calls[0]
            assert seen & {span.trace_id.hex() for span in spans}

        eventually(counted, 30)


def test_the_way_from_web_to_worker_is_an_edge(otelcol: Path, tmp_path: Path):
    collector = Collector(otelcol, tmp_path, ["laptop"])
    with collector.running():
        for number in range(10):
            sent = publish()
            collector.send(sent, service="shop-web")
            collector.send(process(parent=sent, error="boom" if number < 2 else ""))

        def edges() -> dict[str, float]:
            return {
                name: value
                for name, value in collector.scraped().items()
                if name.startswith("traces_service_graph_request_total")
            }

        labels = (
            'client="shop-web",connection_type="messaging_system",failed="{}",server="shop-worker"'
        )
        wanted = {
            f"traces_service_graph_request_total{{{labels.format(failed)}}}": count
            for failed, count in (("false", 8), ("true", 2))
        }
        eventually(lambda: edges() == wanted, 30)
