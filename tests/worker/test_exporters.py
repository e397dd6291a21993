"""A worker with each way out that the standard variables offer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from celery import Celery

from tests.receiver import Receiver
from tests.services import free_port
from tests.waiting import eventually
from tests.worker import harness, own_sampler
from tests.worker.harness import NODE

ALONE = ("--without-mingle", "--without-gossip")
SOLO = (*ALONE, "-P", "solo")
PREFORK = (*ALONE, "-P", "prefork", "-c", "2")
OUTCOMES, DURATION = "celery.task.outcomes", "messaging.process.duration"
ROUNDS = 3  # of one task that succeeds and one that fails
OF_FAILURE = {"process shop_of_cases.failure": 3}
TOLD = {"process shop_of_cases.success": 3, "inner": 3, **OF_FAILURE}


def send(environ: dict[str, str]) -> None:
    """Have a running worker do its tasks, and wait for their ends."""
    broker, backend = environ["CASES_BROKER"], environ["CASES_BACKEND"]
    with Celery(broker=broker, backend=backend, set_as_current=False) as client:
        names = ("shop_of_cases.success", "shop_of_cases.failure") * ROUNDS
        for sent in [client.send_task(name) for name in names]:
            sent.get(timeout=60, propagate=False)


def work(folder: Path, environ: dict[str, str], *arguments: str) -> str:
    """Run a worker for its tasks, and return its log."""
    with harness.worker(folder, environ, *arguments) as worker:
        send(environ)
        assert worker.stop() == 0
    assert "fault in" not in worker.log
    assert "Exception in thread" not in worker.log
    return worker.log


def names(receiver: object) -> Counter[str]:
    """Return how often there is a span of each name."""
    return Counter(one.span.name for one in harness.spans(receiver))


def scrape(port: int) -> dict[tuple[str, str], float]:
    """Return the sums of Prometheus's samples by name and task."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            task = sample.labels.get("celery_task_name", "")
            found[sample.name, task.rpartition(".")[2]] += sample.value
    return dict(found)


def test_prometheus_is_served_by_main_alone(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    """One port for the worker with all its processes; spans go their own way."""
    pytest.importorskip("opentelemetry.exporter.prometheus")
    port = free_port()
    environ = harness.environment(
        redis_url, receiver,
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
    )  # fmt: skip
    with harness.worker(tmp_path, environ, *PREFORK) as worker:
        send(environ)

        def told() -> None:
            found = scrape(port)
            for task in ("success", "failure"):
                assert found["celery_task_outcomes_total", task] == ROUNDS
                assert found["messaging_process_duration_seconds_count", task] == ROUNDS
            assert found["messaging_client_consumed_messages_total", ""] >= 2 * ROUNDS
            assert found["celery_worker_pool_limit", ""] == 2

        eventually(told)
        # A publisher with the same variables finds the port taken, and is no worse for it.
        harness.run(environ, "publisher.py", "plain")
        assert worker.stop() == 0
    assert receiver.metrics == []
    found = names(receiver)
    assert found["publish shop.pack"] == found["process shop.pack"] == 3
    assert {name: found[name] for name in TOLD} == TOLD
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_worker_whose_port_is_taken_says_so_and_does_not_start(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    """At once, and naming the variable: nobody would find out later."""
    pytest.importorskip("opentelemetry.exporter.prometheus")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = harness.environment(
            redis_url, receiver,
            OTEL_METRICS_EXPORTER="prometheus",
            OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
            OTEL_EXPORTER_PROMETHEUS_PORT=str(taken.getsockname()[1]),
        )  # fmt: skip
        command = [sys.executable, "-m", "celery", "-A", "shop_of_cases", "worker", *SOLO]
        ended = subprocess.run(
            command, cwd=harness.HERE, env=environ, capture_output=True, text=True, timeout=60
        )
    assert ended.returncode != 0
    assert "OTEL_EXPORTER_PROMETHEUS_PORT" in ended.stderr.splitlines()[-1]
    assert " ready." not in ended.stderr


def test_a_console_gets_spans_and_metrics(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    """They are in the worker's own output, and nowhere else."""
    environ = harness.environment(
        redis_url, receiver, OTEL_METRICS_EXPORTER="console", OTEL_TRACES_EXPORTER="console"
    )
    log = work(tmp_path, environ, *PREFORK)
    for name, times in TOLD.items():
        assert log.count(f'"name": "{name}"') == times
    assert f'"name": "{OUTCOMES}"' in log
    assert receiver.received == []


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}, id="no-exporters"
        ),
        pytest.param({"OTEL_SDK_DISABLED": "true"}, id="sdk-disabled"),
    ],
)
def test_what_is_switched_off_sends_nothing(
    tmp_path: Path, redis_url: str, receiver: Receiver, variables: dict[str, str]
) -> None:
    """The tasks run as ever."""
    work(tmp_path, harness.environment(redis_url, receiver, **variables), *SOLO)
    assert receiver.received == []


def test_grpc_brings_all_from_a_worker_that_forks(tmp_path: Path, redis_url: str) -> None:
    """Its library must not have started anything before the fork."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    from tests.worker.grpc_receiver import receiving_grpc

    with receiving_grpc() as receiver:
        environ = harness.environment(
            redis_url, receiver,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_EXPORTER_OTLP_HEADERS="x-tenant=shop",
        )  # fmt: skip
        work(tmp_path, environ, *PREFORK, "--max-tasks-per-child=2")
        assert names(receiver) == TOLD
        assert harness.total(receiver, OUTCOMES) == 2 * ROUNDS
        assert {called.get("x-tenant") for called in receiver.metadata} == {"shop"}
        assert {point.instance for point in harness.points(receiver, OUTCOMES)} == {NODE}


def test_compression_and_headers_are_those_of_the_variables(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    """For traces, which go without the SDK, as for metrics."""
    environ = harness.environment(
        redis_url, receiver,
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=shop,authorization=Bearer%20x",
    )  # fmt: skip
    work(tmp_path, environ, *SOLO)
    assert names(receiver) == TOLD
    assert {
        (one.path, one.headers["content-encoding"], one.headers["x-tenant"],
         one.headers["authorization"])
        for one in receiver.received
    } == {(path, "gzip", "shop", "Bearer x") for path in ("/v1/traces", "/v1/metrics")}  # fmt: skip


def test_native_histograms_are_honoured(tmp_path: Path, redis_url: str, receiver: Receiver) -> None:
    """One series for each duration, without our buckets, and as exact in its count."""
    variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    base2 = {variable: "base2_exponential_bucket_histogram"}
    work(tmp_path, harness.environment(redis_url, receiver, **base2), *SOLO)
    kinds = {
        (one.name, one.WhichOneof("data"))
        for request in receiver.metrics
        for by_resource in request.resource_metrics
        for by_scope in by_resource.scope_metrics
        for one in by_scope.metrics
        if one.name.endswith(".duration")
    }
    assert (DURATION, "exponential_histogram") in kinds
    assert {kind for _, kind in kinds} == {"exponential_histogram"}
    assert harness.total(receiver, DURATION) == 2 * ROUNDS


@pytest.mark.parametrize(
    ("pool", "sampler", "argument", "kept"),
    [
        pytest.param("solo", "always_off", "", {}, id="always-off-solo"),
        pytest.param("prefork", "parentbased_traceidratio", "0", {}, id="ratio-prefork"),
        pytest.param("solo", "by_name", "failure", OF_FAILURE, id="own-solo"),
        pytest.param("prefork", "by_name", "failure", OF_FAILURE, id="own-prefork"),
    ],
)
def test_what_is_not_sampled_is_counted(
    tmp_path: Path,
    redis_url: str,
    receiver: Receiver,
    pool: str,
    sampler: str,
    argument: str,
    kept: dict[str, int],
) -> None:
    """Spans are those that the sampler keeps, the user's below them included; sums are complete."""
    own_sampler.install(tmp_path)
    environ = harness.environment(
        redis_url, receiver, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument
    )
    environ["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    work(tmp_path, environ, *(SOLO if pool == "solo" else PREFORK))
    assert names(receiver) == kept
    for one in harness.spans(receiver):
        assert one.attributes["kept.for"] == argument
    assert harness.total(receiver, OUTCOMES) == 2 * ROUNDS
    assert harness.total(receiver, DURATION) == 2 * ROUNDS
