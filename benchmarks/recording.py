"""What does a real worker send, when all of its tasks have run and under a steady load?"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchmarks import processes
from benchmarks.macro import eventually
from benchmarks.peers import environment, python_of
from benchmarks.series import Worker
from benchmarks.sink import Request, sinking
from otel_celery import conventions as c
from tests.services import redis_server, running

NAME = "recorded"
"""Its host: a name of as many letters takes its place when it is replayed."""

EXPONENTIAL = {
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"
}


class Recording(NamedTuple):
    """What a worker sent.

    Attributes:
        metrics: its request after all of its tasks have run.
        traces: of each second of a steady load, the requests of the worker and of the publisher
            joined: b"" where there was none.
        began_ns: of the first of these seconds, Unix time.
    """

    metrics: bytes
    traces: Sequence[bytes] = ()
    began_ns: int = 0


def record(shape: Worker, rate: float = 1, seconds: int = 0, children: int = 2) -> Recording:
    """Run a worker of that shape, have it do all it can, and then so many tasks a second."""
    with tempfile.TemporaryDirectory() as name, sinking() as sink, redis_server(Path(name)) as url:
        ready = Path(name, "ready")
        environ = environment(
            "ours",
            sink.url,
            BENCH_BROKER=url,
            BENCH_READY=str(ready),
            BENCH_WORKER=json.dumps(shape),
            OTEL_METRIC_EXPORT_INTERVAL="1000",
            OTEL_CELERY_QUEUE_INTERVAL="1" if shape.reads_queues else "0",
            **(EXPONENTIAL if shape.native else {}),
        )
        worker = [str(python_of("ours")), "-m", "celery", "-A", "benchmarks.fleet_app", "worker"]
        worker += ["-n", f"celery@{NAME}", "-c", str(children), "-l", "CRITICAL"]
        with running([*worker, "--without-mingle"], Path(name, "worker.log"), environ, grace=30):
            eventually(ready.exists, 240)
            publisher = [worker[0], "-m", "benchmarks.fleet_app", str(rate), str(seconds)]
            printed, _ = processes.run(publisher, environ, 240 + seconds)
            began, sent, retried = json.loads(printed)
            found: list[bytes] = []

            def all_told() -> bool:
                found[:] = [one for one in _metrics_of(sink.requests) if _complete(one)][-1:]
                return bool(found)

            def _complete(request: bytes) -> bool:
                told = points_of(request)
                ended, again = (
                    sum(int(point.as_int) for point in told.get(metric.name, ()))
                    for metric in (c.OUTCOMES, c.SENT_MESSAGES)
                )
                polled = c.QUEUE_DEPTH.name in told or not shape.reads_queues
                return (ended, again, polled) == (sent + retried, retried, True)

            eventually(all_told, 120)
        return Recording(
            found[0], list(_by_second(sink.requests, began, seconds)), int(began * 1e9)
        )


def points_of(request: bytes) -> dict[str, list[Any]]:
    """Return the points of each metric in an OTLP request."""
    found: dict[str, list[Any]] = {}
    for by_resource in ExportMetricsServiceRequest.FromString(request).resource_metrics:
        for by_scope in by_resource.scope_metrics:
            for metric in by_scope.metrics:
                data = getattr(metric, metric.WhichOneof("data") or "gauge")
                found.setdefault(metric.name, []).extend(data.data_points)
    return found


def series_of(request: bytes) -> Counter[str]:
    """Return how many series Prometheus makes of each metric in an OTLP request."""
    found: Counter[str] = Counter()
    for name, points in points_of(request).items():
        for point in points:
            buckets = len(getattr(point, "bucket_counts", ()))
            found[name] += buckets + 2 if buckets else 1
    return found


def _metrics_of(requests: Iterable[Request]) -> Iterator[bytes]:
    worker = f"celery@{NAME}".encode()
    for one in list(requests):
        if one.path.endswith("/v1/metrics") and worker in one.body:
            yield one.body


def _by_second(requests: Sequence[Request], began: float, seconds: int) -> Iterator[bytes]:
    for number in range(seconds):
        yield b"".join(
            one.body
            for one in requests
            if one.path.endswith("/v1/traces") and number <= one.at - began < number + 1
        )
