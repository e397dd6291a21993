"""What a task logs goes by a real Collector to where Loki would be, with its trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.collector.collectors import Collector, sent_to_loki
from tests.receiver import Receiver
from tests.waiting import eventually
from tests.worker import harness
from tests.worker.harness import CONSUMER, Seen

pytestmark = pytest.mark.stack

WORKER = ("--without-mingle", "--without-gossip", "-P", "prefork", "-c", "1")
CANARY = "canary-7f3a"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    with harness.broker(tmp_path) as url:
        yield url


def speak(broker: str, arguments: tuple[str, ...]) -> str:
    """Have a task say its lines; return its id."""
    with Celery(
        broker=broker, backend=broker.removesuffix("/0") + "/1", set_as_current=False
    ) as app:
        sent = app.send_task("talk.speaks", arguments)
        sent.get(timeout=30)
        return str(sent.id)


def process_span(backend: Receiver, task_id: str) -> Seen:
    """Return the task's span as it came to the store of traces."""
    (found,) = (
        one
        for one in harness.spans(backend)
        if one.span.kind == CONSUMER and one.attributes["messaging.message.id"] == task_id
    )
    return found


def test_lines_of_a_task_reach_loki_with_its_trace(
    otelcol: Path, tmp_path: Path, broker: str, backend: Receiver
) -> None:
    """By OTLP: each once, and nothing of arguments and results."""
    variables = {"TRACES_ENDPOINT": backend.url, "LOKI_ENDPOINT": backend.url}
    collector = Collector(otelcol, tmp_path / "collector", ["logs"], variables)
    environ = harness.environment(broker, backend) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp,
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    with collector.running():
        with harness.worker(tmp_path, environ, *WORKER, app="talking_app") as worker:
            task_id = speak(broker, (CANARY,))
            assert worker.stop() == 0
        eventually(lambda: len(sent_to_loki(backend)) == 6, 30)
        span = eventually(lambda: _found(backend, task_id), 30)
    assert {record.trace_id.hex() for record in sent_to_loki(backend)} == {span.trace}
    assert sent_to_loki(backend)[0].span_id.hex() == span.id
    assert CANARY not in repr(sent_to_loki(backend))


def _found(backend: Receiver, task_id: str) -> Seen:
    ids = [one.attributes.get("messaging.message.id") for one in harness.spans(backend)]
    assert task_id in ids
    return process_span(backend, task_id)


def test_lines_of_files_reach_loki_with_their_trace(
    otelcol: Path, tmp_path: Path, broker: str, backend: Receiver
) -> None:
    """By the formatter of the documentation: those outside of tasks too, without a trace."""
    folder = tmp_path / "lines"
    folder.mkdir()
    variables = {
        "TRACES_ENDPOINT": backend.url,
        "LOKI_ENDPOINT": backend.url,
        "LOG_FILES": str(folder / "*.json"),
    }
    collector = Collector(otelcol, tmp_path / "collector", ["logs", "filelog"], variables)
    environ = harness.environment(broker, backend)
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.otlp
    written = folder / "worker.json"
    with collector.running():
        worker = (*WORKER, "--logfile", str(written))
        with harness.worker(tmp_path, environ, *worker, app="json_app", log=written) as running:
            task_id = speak(broker, ("x",))
            assert running.stop() == 0
        by_body = eventually(lambda: _bodies(backend, "by the task's logger"), 30)
        span = eventually(lambda: _found(backend, task_id), 30)
    inside, outside = by_body["by the task's logger"], by_body["outside of tasks"]
    assert (inside.trace_id.hex(), inside.span_id.hex()) == (span.trace, span.id)
    assert inside.severity_text == "INFO"
    assert (outside.trace_id, outside.span_id) == (b"", b"")
    assert {pair.key: pair.value.string_value for pair in inside.attributes}["task_id"] == task_id


def _bodies(backend: Receiver, wanted: str) -> dict[str, LogRecord]:
    found = {record.body.string_value: record for record in sent_to_loki(backend)}
    assert wanted in found
    return found
