"""Each overlay runs, with data, in the real Collector; those that add go together."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import requests
import yaml
from kombu import Connection
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from tests.collector.certificates import certificate
from tests.collector.collectors import BASE, OVERLAYS, Collector, attributes, process, sent_to_loki
from tests.collector.test_metrics import gauge
from tests.receiver import Received, Receiver, receiving
from tests.services import HOST, ServiceMissing, free_port, missing, rabbitmq_server, running
from tests.services import program as installed
from tests.waiting import eventually

pytestmark = pytest.mark.stack

NAMES = sorted(path.stem for path in OVERLAYS.glob("*.yaml"))
INSTEAD = {"laptop", "gateway-agent"}
TOGETHER = [name for name in NAMES if name not in INSTEAD]


def needs(name: str) -> list[str]:
    return [name, "logs"] if name == "filelog" else [name]


@pytest.fixture
def environ(tmp_path: Path, backend: Receiver) -> dict[str, str]:
    """Every variable that has no default, and every backend here."""
    made = certificate(tmp_path)
    tokens = tmp_path / "tokens"
    tokens.write_text("t0k3n\n")
    return {
        "TRACES_ENDPOINT": backend.url,
        "SENTRY_OTLP_ENDPOINT": f"{backend.url}/api/7/integration/otlp",
        "SENTRY_PUBLIC_KEY": "abc",
        "OTLP_TLS_CERT": str(made.cert),
        "OTLP_TLS_KEY": str(made.key),
        "OTLP_TOKEN_FILE": str(tokens),
        "TEMPO_ENDPOINT": f"{backend.url}/tempo",
        "LOKI_ENDPOINT": backend.url,
        "LOG_FILES": str(tmp_path / "*.json"),
    }


@pytest.mark.parametrize("names", [[], *map(needs, NAMES), TOGETHER], ids="+".join)
def test_it_is_valid_and_nothing_in_it_is_deprecated(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], names: list[str]
):
    assert Collector(otelcol, tmp_path, names, environ).validate() == ""


@pytest.mark.parametrize("name", ["sentry", "tls"])
def test_a_variable_that_has_no_default_is_asked_for(otelcol: Path, tmp_path: Path, name: str):
    assert "Error: " in Collector(otelcol, tmp_path, [name]).validate()


def lists(tree: object, path: str = "") -> set[str]:
    """Paths of all lists in a configuration."""
    if isinstance(tree, dict):
        return set().union(*(lists(value, f"{path}/{key}") for key, value in tree.items()))
    return {path} if isinstance(tree, list) else set()


def test_only_these_overlays_replace_a_list_of_the_base():
    base = lists(yaml.safe_load(BASE.read_text()))
    replaced = {name: base & lists(yaml.safe_load(path(name))) for name in NAMES}
    assert {name: sorted(found) for name, found in replaced.items() if found} == {
        "gateway-agent": [
            "/service/pipelines/metrics/in/exporters",
            "/service/pipelines/metrics/spans/processors",
            "/service/pipelines/metrics/spans/receivers",
            "/service/pipelines/traces/in/exporters",
            "/service/pipelines/traces/sampling/processors",
            "/service/pipelines/traces/store/exporters",
        ],
        "keep-all": ["/service/pipelines/traces/sampling/processors"],
        "laptop": ["/service/pipelines/traces/store/exporters"],
        "tls": ["/service/extensions"],
    }


def path(name: str) -> str:
    return (OVERLAYS / f"{name}.yaml").read_text()


def wait_for(backend: Receiver, path: str) -> Received:
    """Return the first request to a path."""
    return eventually(lambda: [r for r in backend.received if r.path == path], 30)[0]


def test_tempo_gets_what_jaeger_gets(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    collector = Collector(otelcol, tmp_path, ["tempo"], environ)
    with collector.running():
        collector.send(process())
        one = wait_for(backend, "/v1/traces")
        other = wait_for(backend, "/tempo/v1/traces")
    assert one.body == other.body
    assert other.headers["x-scope-orgid"] == "anonymous"


def test_the_overlay_on_the_page_for_new_relic_brings_it_spans_and_metrics(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    """It is no file here, because there is nothing of ours to run it against."""
    page = BASE.parents[1] / "docs" / "migrate" / "new-relic.md"
    _, _, rest = page.read_text().partition("```yaml\n")
    overlay = tmp_path / "newrelic.yaml"
    overlay.write_text(rest.partition("```")[0])
    keys = {"NEW_RELIC_OTLP_ENDPOINT": f"{backend.url}/nr", "NEW_RELIC_LICENSE_KEY": "k"}
    collector = Collector(otelcol, tmp_path, [], {**environ, **keys})
    collector.configs.append(overlay)
    assert collector.validate() == ""
    with collector.running():
        collector.send(process())
        collector.post("metrics", gauge("celery.worker.broker.connected", 1, "1"))
        spans, metrics = (wait_for(backend, f"/nr/v1/{kind}") for kind in ("traces", "metrics"))
    assert [each.headers["api-key"] for each in (spans, metrics)] == ["k", "k"]


def test_sentry_gets_protobuf_at_its_own_url_with_its_key(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    collector = Collector(otelcol, tmp_path, ["sentry"], environ)
    span = process(error="boom", celery__task__state="failure")
    with collector.running():
        collector.send(span)
        got = wait_for(backend, "/api/7/integration/otlp/v1/traces")
    assert got.headers["x-sentry-auth"] == "sentry sentry_key=abc"
    assert got.headers["content-type"] == "application/x-protobuf"
    request = ExportTraceServiceRequest.FromString(got.body)
    assert request.resource_spans[0].scope_spans[0].spans[0] == span


def log_record(body: str, trace_id: bytes) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    by_resource = request.resource_logs.add()
    by_resource.resource.attributes.extend(attributes({"service.name": "shop-worker"}))
    record = by_resource.scope_logs.add().log_records.add(
        time_unix_nano=time.time_ns(),
        severity_number=SeverityNumber.SEVERITY_NUMBER_ERROR,
        trace_id=trace_id,
        span_id=b"12345678",
    )
    record.body.string_value = body
    record.attributes.extend(attributes({"celery.task.args": "secret", "user": "a@b.example"}))
    return request


def test_logs_reach_loki_clean_and_with_their_trace(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    collector = Collector(otelcol, tmp_path, ["logs"], environ)
    with collector.running():
        said = "joe@mail.example.com at redis://u:p@broker/0"
        assert collector.post("logs", log_record(said, b"1234567890123456")).status_code == 200
        record = eventually(lambda: sent_to_loki(backend), 30)[0]
    assert (record.trace_id, record.span_id) == (b"1234567890123456", b"12345678")
    assert record.body.string_value == "**** at redis://****@broker/0"
    assert {pair.key: pair.value.string_value for pair in record.attributes} == {"user": "****"}


def test_without_the_overlay_logs_are_refused(otelcol: Path, tmp_path: Path):
    collector = Collector(otelcol, tmp_path)
    with collector.running():
        assert collector.post("logs", log_record("said", bytes(16))).status_code == 404


def test_lines_of_log_files_become_records(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    line = {
        "timestamp": "2026-01-31T12:00:00.123Z",
        "level": "ERROR",
        "message": "task failed",
        "trace_id": "ab" * 16,
        "span_id": "cd" * 8,
        "task": "shop.pay",
    }
    log = tmp_path / "worker.json"
    log.write_text(f"{json.dumps(line)}\nno JSON at all\n")
    collector = Collector(otelcol, tmp_path / "collector", ["logs", "filelog"], environ)
    with collector.running():
        first, second = eventually(
            lambda: len(sent_to_loki(backend)) == 2 and sent_to_loki(backend), 30
        )
    assert first.body.string_value == "task failed"
    assert first.trace_id.hex() == "ab" * 16
    assert first.span_id.hex() == "cd" * 8
    assert first.severity_number == SeverityNumber.SEVERITY_NUMBER_ERROR
    assert first.time_unix_nano == 1769860800123000000
    assert second.body.string_value == "no JSON at all"
    log.write_text(log.read_text() + "and a third\n")
    with collector.running():
        eventually(lambda: len(sent_to_loki(backend)) == 3, 30)
    assert sent_to_loki(backend)[2].body.string_value == "and a third"


def test_metrics_are_pushed_to_a_prometheus_under_the_names_that_it_scrapes(
    otelcol: Path, tmp_path: Path, program: Callable[[str], Path], environ: dict[str, str]
):
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text("{}\n")
    url = f"http://{HOST}:{port}/api/v1"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        "--web.enable-remote-write-receiver",
    ]
    command += [f"--web.listen-address={HOST}:{port}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    environ["REMOTE_WRITE_URL"] = f"{url}/write"
    collector = Collector(otelcol, tmp_path / "collector", ["remote-write"], environ)
    with collector.running(), running([*map(str, command)], tmp_path / "prometheus.log"):
        collector.send(process())

        def up() -> bool:
            try:
                return collector.session.get(f"http://{HOST}:{port}/-/ready", timeout=5).ok
            except requests.ConnectionError:
                return False

        def stored() -> None:
            collector.post("metrics", gauge("celery.worker.broker.connected", 1, "1"))
            scraped = {name.partition("{")[0] for name in collector.scraped()} - {"target_info"}
            assert {"celery_worker_broker_connected", "traces_span_metrics_calls_total"} <= scraped
            names = collector.session.get(f"{url}/label/__name__/values", timeout=5).json()
            assert set(names["data"]) == scraped

        eventually(up, 60)
        eventually(stored, 60)


def test_rabbitmq_itself_tells_of_its_queues(
    otelcol: Path, tmp_path: Path, environ: dict[str, str]
):
    port = free_port()
    environ |= {"RABBITMQ_METRICS": f"{HOST}:{port}", "RABBITMQ_SCRAPE_INTERVAL": "1s"}
    collector = Collector(otelcol, tmp_path / "collector", ["rabbitmq"], environ)
    folder = tmp_path / "rabbitmq"
    folder.mkdir()
    try:
        installed("rabbitmq-server")
    except ServiceMissing as why:
        missing(str(why))
    with rabbitmq_server(folder, port) as url, collector.running():
        with Connection(url) as connection:
            queue = connection.SimpleQueue("emails")
            for number in range(3):
                queue.put(number)
            queue.close()

        def told() -> None:
            ready = {
                name: value
                for name, value in collector.scraped().items()
                if name.startswith("rabbitmq_detailed_queue_messages_ready{")
            }
            assert [value for name, value in ready.items() if 'queue="emails"' in name] == [3]

        eventually(told, 60)


def test_without_sampling_batches_pass_as_they_came(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    environ = {**environ, "TAIL_BASELINE_PERCENT": "0"}
    collector = Collector(otelcol, tmp_path, ["keep-all"], environ)
    spans = [process() for _ in range(50)]
    with collector.running():
        collector.send(*spans)
        eventually(lambda: len(backend.spans) == len(spans), 30)
    assert [span.span_id for span in backend.spans] == [span.span_id for span in spans]


def test_debug_prints_what_goes_through(otelcol: Path, tmp_path: Path, environ: Mapping[str, str]):
    collector = Collector(otelcol, tmp_path, ["debug"], environ)
    with collector.running():
        collector.send(process("shop.pay"))
        eventually(lambda: "process shop.pay" in collector.log.read_text(), 30)


def test_a_laptop_without_a_trace_store_sees_its_spans_printed(otelcol: Path, tmp_path: Path):
    with receiving() as silent:
        collector = Collector(otelcol, tmp_path, ["laptop"], {"TRACES_ENDPOINT": silent.url})
        with collector.running():
            collector.send(process("shop.pay"))
            eventually(lambda: "process shop.pay" in collector.log.read_text(), 30)
        assert not silent.received


def test_those_that_add_work_at_the_same_time(
    otelcol: Path, tmp_path: Path, environ: Mapping[str, str], backend: Receiver
):
    names = [name for name in TOGETHER if name != "tls"]
    collector = Collector(otelcol, tmp_path / "collector", names, environ)
    with collector.running():
        collector.send(process("shop.pay"))
        collector.post("logs", log_record("said", bytes(16)))
        for reached in ("/v1/traces", "/tempo/v1/traces", "/otlp/v1/logs"):
            wait_for(backend, reached)
        wait_for(backend, "/api/7/integration/otlp/v1/traces")
        eventually(lambda: "process shop.pay" in collector.log.read_text(), 30)
